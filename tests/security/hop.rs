//! Fields between hops (HOP).
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use http::StatusCode;
use tollgate::gateway::{Gateway, Route};
use tollgate::model::{NodeSpec, RouteSpec, Settings, Snapshot, UpstreamSpec};
use tollgate::server::Protocols;
use tollgate::{Next, Request};

use crate::peers::origin::{Origin, Step};
use crate::peers::text;
use crate::rig::{BOTH, Front, Gate, Rig, deny, get, get_with, post};

/// Fields of one hop that carry a value in these tests, `Connection` and `Transfer-Encoding` aside.
const HOP: [&str; 7] = [
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "TE: gzip",
    "Trailer: X-Sum",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "Proxy-Authorization: Basic YTpi",
];

fn name(line: &str) -> &str {
    line.split(':').next().unwrap()
}

#[tokio::test]
async fn sec_hop_01_fields_of_a_hop_do_not_reach_the_origin() {
    let fields = format!(
        "Connection: keep-alive, X-Secret\r\n{}\r\nConnection: ,x-other ,\r\nX-Secret: 1\r\nX-Other: 2\r\nX-Kept: 3\r\n",
        HOP.join("\r\n")
    );
    for front in BOTH {
        let rig = Rig::new(front).await;
        let request = rig.forwards(get_with(&fields)).await;
        for gone in HOP.map(name).into_iter().chain(["connection", "x-secret", "x-other", "transfer-encoding"]) {
            assert!(request.all(gone).is_empty(), "{front:?} {gone}: {request:?}");
        }
        assert_eq!(request.field("x-kept"), Some("3"));
        // the one word of TE that passes is our own hop's then
        let request = rig.forwards(get_with("TE: trailers\r\n")).await;
        assert_eq!((request.field("te"), request.field("connection")), (Some("trailers"), Some("te")), "{front:?}");
    }
}

#[tokio::test]
async fn sec_hop_01_fields_of_a_hop_do_not_reach_the_client() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\n{}\r\nConnection: X-Other\r\nX-Secret: 1\r\nX-Other: 2\r\n\
         X-Kept: 3\r\nContent-Length: 2\r\n\r\nok",
        HOP.join("\r\n")
    );
    for front in BOTH {
        let rig = Rig::to(front, Origin::answering(&answer).await).await;
        let answer = rig.ask(get("/")).await;
        for gone in HOP.map(name).into_iter().chain(["connection", "x-secret", "x-other", "transfer-encoding"]) {
            assert!(answer.all(gone).is_empty(), "{front:?} {gone}: {answer:?}");
        }
        assert_eq!((answer.field("x-kept"), answer.text()), (Some("3"), "ok".to_owned()));
    }
}

#[tokio::test]
async fn sec_hop_02_connection_takes_nothing_away_that_goes_from_end_to_end() {
    let named = "Host, Content-Length, Authorization, Cookie, X-Forwarded-For, X-Forwarded-Host, X-Real-IP, Via, \
                 Content-Type, X-Consumer-Username, Forwarded";
    let fields = format!(
        "Connection: {named}\r\nContent-Length: 5\r\nAuthorization: Basic YTpi\r\nCookie: a=b\r\nContent-Type: text/plain\r\n"
    );
    for front in BOTH {
        let rig = Rig::new(front).await;
        let request = rig.forwards(post(&fields, "hello")).await;
        assert_eq!(request.text(), "hello");
        for (field, value) in [
            ("host", "h"),
            ("content-length", "5"),
            ("authorization", "Basic YTpi"),
            ("cookie", "a=b"),
            ("content-type", "text/plain"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("x-forwarded-host", "h"),
        ] {
            assert_eq!(request.field(field), Some(value), "{front:?} {field}");
        }
        assert!(request.field("via").is_some());
    }
}

const SPOOFS: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7, 8.8.8.8\r\nX-Forwarded-Proto: https\r\n\
                      X-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\nX-Real-IP: 9.9.9.9\r\n\
                      Forwarded: for=\"[2001:db8::1]:80\";host=evil.test\r\n";

#[tokio::test]
async fn sec_hop_03_an_untrusted_peer_says_nothing_of_the_way() {
    for front in BOTH {
        let rig = Rig::new(front).await;
        for spoofs in [
            SPOOFS,
            "X-Forwarded-For: [::1]:80\r\nX-Real-IP: [::1]\r\n",
            "X-Forwarded-For: unknown, _hidden\r\nForwarded: for=unknown\r\n",
            "X-Forwarded-For: \r\nX-Real-IP: ;;\r\n",
            "",
        ] {
            let request = rig.forwards(get_with(spoofs)).await;
            let port = rig.gate.address.port().to_string();
            for (field, value) in [
                ("x-forwarded-for", Some("127.0.0.1")),
                ("x-real-ip", Some("127.0.0.1")),
                ("x-forwarded-proto", Some("http")),
                ("x-forwarded-host", Some("h")),
                ("x-forwarded-port", Some(&*port)),
                ("x-forwarded-prefix", None),
                ("forwarded", None),
            ] {
                assert_eq!(request.field(field), value, "{front:?} {field} of {spoofs}");
            }
        }
    }
}

#[tokio::test]
async fn sec_hop_03_a_trusted_proxy_is_believed_as_far_as_it_is_trusted() {
    let settings = Settings { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Settings::default() };
    for front in BOTH {
        let rig = Rig::with(front, Origin::saying("ok").await, settings.clone(), |builder, node| {
            builder.route(Route::new("/*").to_nodes([node]))
        })
        .await;
        for (sent, client) in [
            ("6.6.6.6, 1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, 1.1.1.1, 127.0.0.5", "1.1.1.1"),
            ("1.1.1.1:8080", "1.1.1.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("6.6.6.6, garbage", "127.0.0.1"),
        ] {
            let fields = format!("X-Forwarded-For: {sent}\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 6.6.6.6\r\n");
            let request = rig.forwards(get_with(&fields)).await;
            assert_eq!(request.field("x-real-ip"), Some(client), "{front:?} {sent}");
            assert_eq!(request.field("x-forwarded-for"), Some(&*format!("{sent}, 127.0.0.1")));
            assert_eq!(request.field("x-forwarded-proto"), Some("https"));
        }
    }
}

#[tokio::test]
async fn sec_hop_04_underscores_do_not_smuggle_protected_names() {
    let protected = [
        "X_Forwarded_For",
        "x_forwarded_proto",
        "X-Forwarded_Host",
        "X_Real_IP",
        "X_Consumer_Id",
        "X-Consumer_Username",
        "X_Credential_Identifier",
        "X_Userinfo",
        "Content_Length",
        "Transfer_Encoding",
        "Proxy_",
    ];
    let fields: String = protected.iter().map(|name| format!("{name}: evil\r\n")).collect();
    for front in BOTH {
        let rig = Rig::new(front).await;
        let request = rig.forwards(get_with(&format!("{fields}my_own: stays\r\n"))).await;
        for gone in &protected[..protected.len() - 1] {
            assert!(request.all(gone).is_empty(), "{front:?} {gone}");
        }
        assert_eq!(request.field("my_own"), Some("stays"));
    }
}

#[tokio::test]
async fn sec_hop_05_identity_comes_from_the_gateway_alone() {
    let fields = "X-Consumer-Username: root\r\nX-Consumer-Custom-Id: 1\r\nX-Consumer-Groups: admins\r\nX-Credential-Identifier: 1\r\n\
                  X-Userinfo: e30=\r\n";
    let mut settings = Settings::default();
    for trusted in [false, true] {
        if trusted {
            settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        }
        for front in BOTH {
            let setting = tower::layer::layer_fn(|next: Next| {
                Next::from_call(move |mut request: Request| {
                    request.headers_mut().insert("x-consumer-username", http::HeaderValue::from_static("known"));
                    next.run(request)
                })
            });
            let rig = Rig::with(front, Origin::saying("ok").await, settings.clone(), |builder, node| {
                builder
                    .route(Route::new("/open").to_nodes([node.clone()]))
                    .route(Route::new("/with").layer(setting).to_nodes([node]))
            })
            .await;
            let request = rig.forwards(format!("GET /open HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).await;
            for line in fields.lines() {
                assert!(request.all(name(line)).is_empty(), "{front:?} {line}");
            }
            let request = rig.forwards(get_with(fields)).await;
            assert_eq!((request.field("x-consumer-username"), request.field("x-userinfo")), (Some("known"), None));
        }
    }
}

#[tokio::test]
async fn sec_hop_08_the_proxy_field_is_dropped() {
    for front in BOTH {
        let rig = Rig::new(front).await;
        let request = rig.forwards(get_with("Proxy: http://evil.test\r\npROXY: http://evil.test\r\n")).await;
        assert!(request.all("proxy").is_empty(), "{front:?}");
    }
}

#[tokio::test]
async fn sec_hop_09_no_value_becomes_two_lines() {
    // what a client may put into a query stays encoded, whoever copies it
    let copying = || {
        tower::layer::layer_fn(|next: Next| {
            Next::from_fn(move |mut request: Request| {
                let next = next.clone();
                async move {
                    let query = request.uri().query().unwrap_or_default().to_owned();
                    let decoded = query.replace("%0d%0a", "\r\n").replace("%00", "\0");
                    for copy in [&query, &decoded] {
                        if let Ok(value) = http::HeaderValue::from_str(copy) {
                            request.headers_mut().append("x-query", value);
                        }
                    }
                    let mut response = next.run(request).await;
                    if let Ok(location) = http::HeaderValue::from_str(&query) {
                        response.headers_mut().insert("location", location);
                    }
                    response
                }
            })
        })
    };
    for front in BOTH {
        let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            builder.route(Route::new("/*").layer(copying()).to_nodes([node]))
        })
        .await;
        let mut client = rig.client().await;
        client.send(get("/a?b%0d%0aX-Evil:c%00")).await;
        let answer = client.answer().await;
        assert_eq!((answer.field("location"), answer.field("x-evil")), (Some("b%0d%0aX-Evil:c%00"), None));
        let request = rig.origin.request();
        assert_eq!(
            (request.field("x-query"), request.field("x-evil")),
            (Some("b%0d%0aX-Evil:c%00"), None),
            "{front:?}"
        );
    }
}

#[tokio::test]
async fn sec_hop_10_a_route_that_leads_back_to_the_gateway_ends() {
    let passes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&passes);
    let counting = tower::layer::layer_fn(move |next: Next| {
        let counter = Arc::clone(&counter);
        Next::from_call(move |request: Request| {
            counter.fetch_add(1, SeqCst);
            next.run(request)
        })
    });
    let gateway = Gateway::builder().layer(counting).build().unwrap();
    let gate = Gate::own(gateway.clone(), &Settings::default(), Protocols::H1);
    let back = UpstreamSpec::of([NodeSpec::host("127.0.0.1", gate.address.port())]);
    let mut route = RouteSpec::new("back", "/*");
    route.upstream = Some(Arc::new(back));
    gateway.apply(Snapshot { routes: vec![Arc::new(route)].into(), ..Snapshot::default() }).unwrap();
    let mut client = gate.client().await;
    client.send(get("/")).await;
    assert_eq!(client.answer().await.status(), 508);
    assert_eq!(passes.load(SeqCst), 6);
    // another gateway's passes do not count
    client.send(get_with(&format!("Via: {}\r\n", ["1.1 other"; 9].join(", ")))).await;
    assert_eq!(client.answer().await.status(), 508);
    assert_eq!(passes.load(SeqCst), 12);
}

#[tokio::test]
async fn sec_hop_11_answers_of_the_gateway_tell_nothing_of_the_inside() {
    for front in BOTH {
        let mut settings = Settings::default();
        settings.limits.body_bytes = 10;
        let broken = Origin::scripted(|_| vec![Step::until("\r\n\r\n"), Step::send("no answer at all\r\n\r\n")]).await;
        let inside = broken.address();
        let rig = Rig::with(front, broken, settings, |builder, node| {
            let panicking = tower::layer::layer_fn(|_: Next| {
                Next::from_call(|_: Request| panic!("a secret of the inside, 127.0.0.1"))
            });
            builder
                .route(Route::new("/502").to_nodes([node.clone()]))
                .route(Route::new("/refused").to_nodes([NodeSpec::host("127.0.0.1", 1)]))
                .route(Route::new("/503").to_nodes([]))
                .route(Route::new("/panic").layer(panicking).to_nodes([node.clone()]))
                .route(
                    Route::new("/401")
                        .layer(tower::layer::layer_fn(|_: Next| deny(StatusCode::UNAUTHORIZED)))
                        .to_nodes([node]),
                )
        })
        .await;
        for (bytes, status) in [
            (get("/nowhere"), 404),
            (get("/%00"), 400),
            (get("/502"), 502),
            (get("/refused"), 502),
            (get("/503"), 503),
            (get("/panic"), 500),
            (get("/401"), 401),
            ("POST /502 HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world".to_owned(), 413),
            ("TRACE /502 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 405),
            (get_with("Expect: y\r\n"), 417),
        ] {
            let answer = rig.ask(&bytes).await;
            assert_eq!(answer.status(), status, "{front:?} {bytes}");
            assert_eq!(answer.field("server"), Some("tollgate"));
            let all = format!("{:?} {}", answer.fields, text(&answer.body));
            for word in [
                "127.0.0.1",
                &inside.port().to_string(),
                "secret",
                "panic",
                env!("CARGO_PKG_VERSION"),
                ".rs",
                "refused",
            ] {
                assert!(!all.contains(word), "{front:?} {status} tells {word}: {all}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_keeps_its_own_server_field() {
    let rig =
        Rig::to(Front::Own, Origin::answering("HTTP/1.1 200 OK\r\nServer: theirs\r\nContent-Length: 0\r\n\r\n").await)
            .await;
    assert_eq!(rig.ask(get("/")).await.field("server"), Some("theirs"));
}
