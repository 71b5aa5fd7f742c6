//! Paths and matching (PATH).
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate::gateway::{Gateway, Route};
use tollgate::model::{EncodedSlash, NodeSpec, RouteSpec, Settings};
use tollgate::{Next, Request};

use crate::peers::origin::Origin;
use crate::peers::strict::Message;
use crate::peers::text;
use crate::rig::{BOTH, Front, Rig, deny, get};

/// What the laxest of origins makes of a path: everything decoded once, `\` read as `/`, parameters dropped, slashes merged,
/// dot segments resolved, in lower case.
fn lax(target: &str) -> String {
    let path = target.split('?').next().unwrap().as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        let escape = (*byte == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        let value = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(value.unwrap_or(*byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    let decoded = String::from_utf8_lossy(&decoded).to_lowercase().replace('\\', "/");
    let mut segments = Vec::new();
    for segment in decoded.split('/').map(|segment| segment.split(';').next().unwrap()) {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Sends each target to a gateway that guards `/admin`: refused by status, or sent on in a form that no origin reads as
/// `/admin`.
async fn never_admin(targets: &[&str], statuses: &[u16]) {
    for front in BOTH {
        let rig = Rig::guarded(front).await;
        for target in targets {
            let answer = rig.ask(format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await;
            assert!(statuses.contains(&answer.status()), "{front:?} {target}: {}", answer.start);
        }
        for request in rig.origin.requests() {
            let read = lax(request.target());
            assert!(read != "/admin" && !read.starts_with("/admin/"), "{front:?}: {} reaches {read}", request.target());
        }
    }
}

/// Sends each first target; the origin gets the second.
async fn becomes(cases: &[(&str, &str)]) {
    for front in BOTH {
        let rig = Rig::new(front).await;
        for (sent, wanted) in cases {
            let request = rig.forwards(get(sent)).await;
            assert_eq!((request.target(), request.field("host")), (*wanted, Some("h")), "{front:?}");
        }
    }
}

/// Each is a 400, and nothing reaches the origin.
async fn refused(targets: &[&[u8]]) {
    for front in BOTH {
        let rig = Rig::new(front).await;
        for target in targets {
            // hyper drops fragments before anybody sees them
            if front == Front::Host && target.contains(&b'#') {
                continue;
            }
            rig.rejects([b"GET ", *target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat(), 400).await;
        }
    }
}

#[tokio::test]
async fn sec_path_01_one_canonical_path() {
    let spellings = [
        "/admin",
        "/s/../admin",
        "/s/%2e%2e/admin",
        "/s/.%2E/admin",
        "/s/%2e./admin",
        "/%61dmin",
        "/%61%64%6d%69%6e",
        "/./admin",
        "/%2e/admin",
        "/admin/",
        "/admin/.",
        "/admin/x",
        "/admin/x/..",
        "/a/b/../../admin",
        "/admin?x=/open",
        "http://h/s/../admin",
        "http://h/%61dmin",
    ];
    never_admin(&spellings, &[403]).await;
    // one decoding more, or another case, is another path: it goes on as it is
    never_admin(&["/%2561dmin", "/admi%256e", "/administrator", "/admin.", "/xadmin"], &[200]).await;
    becomes(&[
        ("/a/%7Eb/%c3%a9/./c", "/a/~b/%C3%A9/c"),
        ("/%41%5a%30%2d%2e%5f%7e", "/AZ0-._~"),
        ("/a%20b%3Fc%23d", "/a%20b%3Fc%23d"),
        ("/a/..", "/"),
        ("/a/../b/", "/b/"),
        ("/...", "/..."),
        ("/.a/..b/c..", "/.a/..b/c.."),
        ("/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~"),
    ])
    .await;
}

#[tokio::test]
async fn sec_path_02_repeated_slashes() {
    never_admin(
        &["//admin", "///admin", "/s//../admin", "//s/../admin", "/admin//", "//admin//x", "/.//admin"],
        &[403],
    )
    .await;
    becomes(&[("//a", "/a"), ("/a//b", "/a/b"), ("//evil.test/x", "/evil.test/x"), ("///", "/"), ("/a//", "/a/")])
        .await;
}

#[tokio::test]
async fn sec_path_03_what_hops_decode_in_different_ways() {
    refused(&[
        b"/a%2fb",
        b"/a%2Fb",
        b"/a%5cb",
        b"/a%5Cb",
        b"/a\\b",
        b"/..%2fadmin",
        b"/..%5cadmin",
        b"/..\\admin",
        b"/a%00",
        b"/%00admin",
        b"/a%0a",
        b"/a%0d%0aX:y",
        b"/a%1f",
        b"/a%7f",
        b"/a%",
        b"/a%2",
        b"/a%zz",
        b"/a%2",
        b"/%",
        b"/%g1",
        b"/a%u002f",
        b"/%%32e",
    ])
    .await;
    never_admin(&["/s%2f..%2fadmin", "/%2fadmin", "/s/..%2fadmin", "/%5cadmin", "/admin%2fx", "/admin%00"], &[400])
        .await;
    becomes(&[("/a%252fb", "/a%252fb"), ("/%252e%252e/a", "/%252e%252e/a"), ("/%2525", "/%2525")]).await;
}

#[tokio::test]
async fn sec_path_03_a_route_may_keep_encoded_slashes() {
    for front in BOTH {
        let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            let mut keeping = RouteSpec::new("keeping", "/keep/*");
            keeping.encoded_slash = Some(EncodedSlash::Keep);
            builder.route(Route::from_spec(keeping).to_nodes([node.clone()])).route(Route::new("/*").to_nodes([node]))
        })
        .await;
        rig.rejects(get("/other/a%2fb"), 400).await;
        assert_eq!(rig.forwards(get("/keep/a%2fb")).await.target(), "/keep/a%2Fb");
        // it separates nothing, and hides no dots
        let before = rig.origin.requests().len();
        for hidden in ["/keep/..%2fadmin", "/keep/%2e%2e%2fadmin", "/keep/a%2f..%2f..%2fadmin", "/keep%2f..%2fadmin"] {
            assert_eq!(rig.ask(get(hidden)).await.status(), 400, "{front:?} {hidden}");
        }
        assert_eq!(rig.origin.requests().len(), before);
    }
}

#[tokio::test]
async fn sec_path_04_parameters_hide_no_dots() {
    let dots = [
        "/s/..;/admin",
        "/s/..;x=y/admin",
        "/s/%2e%2e;/admin",
        "/s/.;/admin",
        "/;/admin",
        "/;x/admin",
        "/s/..%3b/admin",
    ];
    never_admin(&dots, &[400]).await;
    // nothing else of a segment is ignored: these are other names
    becomes(&[("/admin;x/y", "/admin;x/y"), ("/a;b=c/d", "/a;b=c/d"), ("/a%3bb", "/a%3Bb")]).await;
}

#[tokio::test]
async fn sec_path_05_nothing_is_above_the_root() {
    never_admin(&["/../../admin", "/%2e%2e/admin", "/../s/../../admin"], &[403]).await;
    becomes(&[("/../../x", "/x"), ("/..", "/"), ("/../", "/")]).await;
}

#[tokio::test]
async fn sec_path_06_characters_that_no_uri_has() {
    let mut targets: Vec<Vec<u8>> = Vec::new();
    for byte in [b'"', b'<', b'>', b'^', b'`', b'{', b'|', b'}', b'#', 0x80, 0xa0, 0xc3, 0xff] {
        targets.push([b"/a", &[byte][..], b"b"].concat());
        targets.push([b"/a?b", &[byte][..]].concat());
    }
    targets.push("/caf\u{e9}".as_bytes().to_vec());
    targets.push(b"/a#/admin".to_vec());
    let targets: Vec<&[u8]> = targets.iter().map(Vec::as_slice).collect();
    refused(&targets).await;
}

/// A layer that strips a prefix by length, as careless plugins do.
fn stripping(prefix: &'static str) -> impl tower::Layer<Next, Service = Next> + Send + Sync + 'static {
    tower::layer::layer_fn(move |next: Next| {
        Next::from_call(move |mut request: Request| {
            let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
            let rest = path.strip_prefix(prefix).unwrap_or(path);
            let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
            *request.uri_mut() = rest.parse().unwrap();
            next.run(request)
        })
    })
}

#[tokio::test]
async fn sec_path_07_a_rewritten_path_is_canonical_again() {
    for front in BOTH {
        let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            builder.route(Route::new("/api*").layer(stripping("/api")).to_nodes([node]))
        })
        .await;
        for trick in ["/api../admin", "/api%2e./admin", "/api%2E%2e/admin", "/api./admin", "/api..;/admin"] {
            let answer = rig.ask(get(trick)).await;
            assert!([400, 404].contains(&answer.status()), "{front:?} {trick}: {}", answer.start);
        }
        assert_eq!(rig.origin.requests().len(), 0, "{front:?}");
        for (sent, wanted) in [("/api/x?y", "/x?y"), ("/api", "/"), ("/apis", "/s"), ("/api//x", "/x")] {
            assert_eq!(rig.forwards(get(sent)).await.target(), wanted, "{front:?}");
        }
    }
}

#[tokio::test]
async fn sec_path_08_matching_is_case_sensitive_and_prefixes_are_prefixes() {
    for front in BOTH {
        let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            let guard = || tower::layer::layer_fn(|_: Next| deny(http::StatusCode::FORBIDDEN));
            builder
                .route(Route::new("/admin*").layer(guard()).to_nodes([node.clone()]))
                .route(Route::new("/deep/*").layer(guard()).to_nodes([node.clone()]))
                .route(Route::new("/*").to_nodes([node]))
        })
        .await;
        for (target, status) in [
            ("/administrator", 403),
            ("/admin", 403),
            ("/Admin", 200),
            ("/deep/x", 403),
            ("/deeper", 200),
            ("/deep", 200),
        ] {
            assert_eq!(rig.ask(get(target)).await.status(), status, "{front:?} {target}");
        }
    }
    let gateway = Gateway::builder().route(Route::new("/admin*").to_nodes([NodeSpec::host("127.0.0.1", 1)])).build();
    let lint = gateway.unwrap().lint();
    assert!(lint.iter().any(|line| line.to_string().contains("/admin*")), "{lint:?}");
}

#[tokio::test]
async fn sec_path_09_the_query_never_matters_to_the_path() {
    never_admin(&["/s?/../admin", "/s/..?/admin", "/?/admin"], &[200]).await;
    becomes(&[
        ("/x?/../admin", "/x?/../admin"),
        ("/x?a=1&a=2&b=%2F%2e&c=%2f", "/x?a=1&a=2&b=%2F%2e&c=%2f"),
        ("/x?", "/x?"),
        ("/x??//", "/x??//"),
        ("/x?next=%0d%0aX-Evil:%20y", "/x?next=%0d%0aX-Evil:%20y"),
        ("http://h?a=b", "/?a=b"),
    ])
    .await;
}

#[tokio::test]
async fn sec_path_10_one_form_of_a_host() {
    for front in BOTH {
        let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            builder.route(Route::new("/*").host("gw.test").to_nodes([node]))
        })
        .await;
        for host in ["gw.test", "GW.Test", "gw.test.", "GW.Test.", "gw.test:80", "gw.test.:8080"] {
            assert_eq!(
                rig.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.status(),
                200,
                "{front:?} {host}"
            );
        }
        for host in ["xgw.test", "gw.test.evil", "evil.gw.test"] {
            assert_eq!(
                rig.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.status(),
                404,
                "{front:?} {host}"
            );
        }
        let rig = Rig::new(front).await;
        rig.refuses("GET / HTTP/1.1\r\nHost: b\u{fc}cher.test\r\n\r\n", 400).await;
    }
}

#[tokio::test]
async fn sec_path_11_expressions_take_linear_time() {
    let with = |regex: &str| {
        Gateway::builder()
            .route(Route::new("/*").vars(json!([["arg_a", "~~", regex]])).to_nodes([NodeSpec::host("127.0.0.1", 1)]))
    };
    let fault = with("(a{1000}){1000}").build().unwrap_err();
    assert!(fault.to_string().contains("it compiles to more than 1048576 bytes"), "{fault}");
    let rig = Rig::with(Front::Own, Origin::saying("ok").await, Settings::default(), |builder, node| {
        builder.route(Route::new("/*").vars(json!([["arg_a", "~~", "(a+)+$"]])).to_nodes([node]))
    })
    .await;
    let begun = Instant::now();
    let answer = rig.ask(get(&format!("/?a={}!", "a".repeat(8000)))).await;
    // one that backtracks would need 2^8000 steps
    assert!(answer.status() == 404 && begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn sec_path_12_layers_see_what_the_origin_gets() {
    for front in BOTH {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        let recording = tower::layer::layer_fn(move |next: Next| {
            let record = Arc::clone(&record);
            Next::from_call(move |request: Request| {
                record.lock().unwrap().push(request.uri().to_string());
                next.run(request)
            })
        });
        let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            builder.route(Route::new("/*").layer(recording).to_nodes([node]))
        })
        .await;
        for target in ["/a/../b//%63?x=%63", "http://h/%2e/d?e", "/f", "*"] {
            let method = if target == "*" { "OPTIONS" } else { "GET" };
            rig.ask(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        }
        let got: Vec<_> = rig.origin.requests().iter().map(|one: &Message| one.target().to_owned()).collect();
        assert_eq!(*asked.lock().unwrap(), got, "{front:?}");
        assert!(
            got.starts_with(&["/b/c?x=%63".to_owned(), "/d?e".to_owned(), "/f".to_owned()]),
            "{}",
            text(got.join(" ").as_bytes())
        );
    }
}
