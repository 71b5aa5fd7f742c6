//! HTTP/1 requests (H1).
use http::StatusCode;
use tollgate::gateway::Route;
use tollgate::model::Settings;

use crate::peers::client::Client;
use crate::peers::origin::{Origin, Step};
use crate::peers::strict;
use crate::peers::{End, text};
use crate::rig::{BOTH, Front, Rig, chunked, deny, get, get_with, post};

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

/// Each is refused with this status, and the origin sees nothing.
async fn all_refused<T: AsRef<[u8]>>(status: u16, cases: impl IntoIterator<Item = T>) {
    let rig = Rig::new(Front::Own).await;
    for case in cases {
        rig.refuses(case, status).await;
    }
}

#[tokio::test]
async fn sec_h1_01_length_beside_a_coding() {
    let mut cases = Vec::new();
    for length in ["0", "5", "15", "100"] {
        let (length, coding) = (format!("Content-Length: {length}\r\n"), "Transfer-Encoding: chunked\r\n");
        for fields in [format!("{length}{coding}"), format!("{coding}X: y\r\n{length}")] {
            cases.push(post(&fields, "5\r\nhello\r\n0\r\n\r\n"));
            cases.push(post(&fields, &format!("0\r\n\r\n{HIDDEN}")));
        }
    }
    cases.push(post("Content-Length:\r\nTransfer-Encoding: identity\r\n", ""));
    all_refused(400, cases).await;
}

#[tokio::test]
async fn sec_h1_02_codings() {
    let values = [
        "xchunked",
        "\x0bchunked",
        "\"chunked\"",
        "'chunked'",
        "chunked;q=1",
        "chunked ;a",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "",
        ",",
        "chunked\x0b",
        "chun ked",
        "chunked\u{a0}",
        "\u{212a}chunked",
    ];
    let mut cases = Vec::new();
    for value in values {
        for name in ["Transfer-Encoding", "transfer-encoding"] {
            let field = format!("{name}: {value}\r\n");
            cases.push(post(&field, &format!("0\r\n\r\n{HIDDEN}")));
            cases.push(post(&format!("Content-Length: 5\r\n{field}"), "hello"));
        }
    }
    let twice = "Transfer-Encoding: chunked\r\n".repeat(2);
    cases.push(post(&twice, "0\r\n\r\n"));
    cases.push(post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"));
    all_refused(400, cases).await;

    let rig = Rig::new(Front::Own).await;
    for good in ["chunked", "CHUNKED", " \t chunked\t "] {
        let request = rig.forwards(post(&format!("Transfer-Encoding:{good}\r\n"), "5\r\nhello\r\n0\r\n\r\n")).await;
        assert_eq!((request.text(), request.field("transfer-encoding")), ("hello".to_owned(), Some("chunked")));
    }
}

#[tokio::test]
async fn sec_h1_03_codings_in_http_10() {
    let with =
        |fields: &str| format!("POST / HTTP/1.0\r\nHost: h\r\n{fields}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    all_refused(400, [with(""), with("Connection: keep-alive\r\n"), with("Content-Length: 5\r\n")]).await;
}

#[tokio::test]
async fn sec_h1_04_lengths() {
    let values = [
        "+5",
        "-0",
        "-5",
        "0x5",
        "5;a",
        "5 5",
        "5.0",
        "\"5\"",
        "1_0",
        "",
        "\u{0665}",
        "\u{ff15}",
        "5,5",
        "5, 5",
        "5,",
        ",5",
        "10000000000000000000",
        "99999999999999999999",
        "18446744073709551621",
        "5\x0b",
        "5\0",
    ];
    let mut cases: Vec<String> =
        values.iter().map(|value| post(&format!("Content-Length: {value}\r\n"), &format!("hello{HIDDEN}"))).collect();
    for (first, second) in [("5", "5"), ("5", "6"), ("0", "5"), ("", "5"), ("5", "")] {
        let fields = format!("Content-Length: {first}\r\nX: y\r\nContent-Length: {second}\r\n");
        cases.push(post(&fields, &format!("hello{HIDDEN}")));
    }
    all_refused(400, cases).await;

    let rig = Rig::new(Front::Own).await;
    let request = rig.forwards(post("Content-Length: 0000000000000000005\r\n", "hello")).await;
    assert_eq!((request.text(), request.field("content-length")), ("hello".to_owned(), Some("5")));
}

#[tokio::test]
async fn sec_h1_05_field_names() {
    let mut cases: Vec<Vec<u8>> = [
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding\x0b: chunked\r\n",
        "Transfer-Encoding\0: chunked\r\n",
        "Content-Length : 5\r\n",
        ": value\r\n",
        "no colon\r\n",
        "nocolon\r\n",
        "X[a]: b\r\n",
        "X/a: b\r\n",
        "X(a): b\r\n",
        "X\"a: b\r\n",
        "X{a}: b\r\n",
        "X,a: b\r\n",
        "X;a: b\r\n",
        "X@a: b\r\n",
        "X a: b\r\n",
    ]
    .iter()
    .map(|fields| post(fields, "0\r\n\r\n").into_bytes())
    .collect();
    for byte in [0x80, 0xa0, 0xc3, 0xff] {
        cases.push([b"GET / HTTP/1.1\r\nHost: h\r\nX", &[byte][..], b"a: b\r\n\r\n"].concat());
    }
    all_refused(400, cases).await;
}

#[tokio::test]
async fn sec_h1_06_folding() {
    all_refused(
        400,
        [
            get_with("X: a\r\n b\r\n"),
            get_with("X: a\r\n\tb\r\n"),
            get_with("X: a\r\n \r\n"),
            "GET / HTTP/1.1\r\n Host: h\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\n\tHost: h\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost:\r\n h\r\n\r\n".to_owned(),
            post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
            post("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            post("Content-Length: 5\r\n 0\r\n", "hello"),
        ],
    )
    .await;
}

#[tokio::test]
async fn sec_h1_07_control_bytes() {
    let mut cases: Vec<Vec<u8>> = Vec::new();
    for byte in (0..0x20).chain([0x7f]) {
        // a line feed ends a line: what comes of that is H1-08's
        if byte == b'\n' {
            continue;
        }
        let byte = &[byte][..];
        cases.push([b"GE", byte, b"T / HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
        cases.push([b"GET /a", byte, b"b HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
        cases.push([b"GET /a?b", byte, b"c HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
        if byte != b"\t" {
            cases.push([b"GET / HTTP/1.1\r\nHost: h\r\nX: a", byte, b"b\r\n\r\n"].concat());
            cases.push([b"GET / HTTP/1.1\r\nHost: h\r\nX: ", byte, b"\r\n\r\n"].concat());
        }
    }
    all_refused(400, cases).await;
}

#[tokio::test]
async fn sec_h1_08_bare_line_feeds_and_carriage_returns() {
    all_refused(
        400,
        [
            "GET / HTTP/1.1\nHost: h\n\n",
            "GET / HTTP/1.1\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\rHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n\rX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n",
            "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    )
    .await;
}

#[tokio::test]
async fn sec_h1_09_request_lines() {
    let lines = [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / a HTTP/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / http/1.1",
        "GET / Http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/.1",
        "GET / HTTP1.1",
        "GET / HTTPS/1.1",
        "GET / HTTP/1.1.1",
        "GET / HTTP/ 1.1",
        "GET /",
        "GET HTTP/1.1",
        "GET",
        "/ HTTP/1.1",
    ];
    all_refused(400, lines.map(|line| format!("{line}\r\nHost: h\r\n\r\n"))).await;
    all_refused(505, ["2.0", "3.0", "0.9", "9.9"].map(|version| format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n")))
        .await;
}

#[tokio::test]
async fn sec_h1_10_empty_lines_before_a_request() {
    all_refused(400, [2, 3, 100].map(|count| "\r\n".repeat(count) + &*get("/"))).await;
    let rig = Rig::new(Front::Own).await;
    assert_eq!(rig.forwards(format!("\r\n{}", get("/one"))).await.target(), "/one");
}

#[tokio::test]
async fn sec_h1_11_host() {
    let with = |hosts: &str| format!("GET / HTTP/1.1\r\n{hosts}\r\n");
    let bad = [
        "", "a b", "a/b", "u@h", "u:p@h", "h#x", "h?x", "h\\x", "<x>", "h:x", "h:99999", "h:-1", "h:80:80", "h:",
        ":80", "h,i", "h, i", "[::1", "::1", "[x]", "h%2f", "http://h", "h/", "\"h\"",
    ];
    let mut cases: Vec<String> = bad.iter().map(|host| with(&format!("Host: {host}\r\n"))).collect();
    cases.push(with(""));
    for (first, second) in [("h", "h"), ("h", "i"), ("i", "h"), ("h", "")] {
        cases.push(with(&format!("Host: {first}\r\nHost: {second}\r\n")));
        cases.push(with(&format!("host: {first}\r\nX: y\r\nHOST: {second}\r\n")));
    }
    for front in BOTH {
        let rig = Rig::new(front).await;
        for case in &cases {
            rig.refuses(case, 400).await;
        }
        for good in ["gw.test", "GW.test:80", "127.0.0.1:9080", "[::1]:80", "a_b"] {
            assert_eq!(rig.forwards(with(&format!("Host: {good}\r\n"))).await.field("host"), Some(good));
        }
    }
}

#[tokio::test]
async fn sec_h1_12_the_authority_of_an_absolute_target_replaces_host() {
    for front in BOTH {
        let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            let guard = tower::layer::layer_fn(|_| deny(StatusCode::FORBIDDEN));
            builder
                .route(Route::new("/*").host("secret.test").layer(guard).to_nodes([node.clone()]))
                .route(Route::new("/*").host("open.test").to_nodes([node]))
        })
        .await;
        let with = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let request = rig.forwards(with("http://open.test/a?b", "secret.test")).await;
        assert_eq!((request.target(), request.field("host")), ("/a?b", Some("open.test")));
        let request = rig.forwards(with("HTTP://open.test:80", "x")).await;
        assert_eq!((request.target(), request.field("host")), ("/", Some("open.test:80")));
        let before = rig.origin.requests().len();
        for target in ["http://secret.test/a", "https://SECRET.test:8080/a"] {
            assert_eq!(rig.ask(with(target, "open.test")).await.status(), 403, "{front:?} {target}");
        }
        assert_eq!(rig.origin.requests().len(), before);
        let rig = Rig::new(front).await;
        for bad in [
            "http://u@h/",
            "http://u:p@h/",
            "ftp://h/",
            "http:///",
            "http://h:99999/",
            "http://h:x/",
            "http:/h",
            "x://h/",
        ] {
            rig.refuses(with(bad, "h"), 400).await;
        }
    }
}

#[tokio::test]
async fn sec_h1_13_other_target_forms() {
    for front in BOTH {
        let rig = Rig::new(front).await;
        for target in ["*", "host:80", "s", "?x", "s/x", "*x"] {
            for method in ["GET", "POST", "HEAD", "OPTIONS"] {
                if (method, target) != ("OPTIONS", "*") {
                    rig.refuses(format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), 400)
                        .await;
                }
            }
        }
    }
}

fn has_head(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|window| window == b"\r\n\r\n")
}

/// A body that breaks after its head was sent on: 400 for the client, and never a whole request for the origin.
async fn breaks(cases: &[String]) {
    for case in cases {
        let rig = Rig::new(Front::Own).await;
        let mut client = rig.client().await;
        // the head first, so that the request is on its way when the body breaks
        let body = case.find("\r\n\r\n").unwrap() + 4;
        client.send(&case[..body]).await;
        rig.origin.wait(|seen| seen.first().is_some_and(|one| has_head(&one.bytes))).await;
        client.send(&case[body..]).await;
        client.send(HIDDEN).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.field("connection")), (400, Some("close")), "{}", text(case.as_bytes()));
        assert_eq!(client.end().await, End::Closed);
        rig.aborted(0, case).await;
        assert_eq!(rig.origin.seen().len(), 1, "{}", text(case.as_bytes()));

        // all at once: the answer may come before anything was sent on
        let rig = Rig::new(Front::Own).await;
        let mut client = rig.client().await;
        client.send(format!("{case}{HIDDEN}")).await;
        assert_eq!(client.answer().await.status(), 400, "{}", text(case.as_bytes()));
        assert_eq!(client.end().await, End::Closed);
        for one in 0..rig.origin.seen().len() {
            rig.aborted(one, case).await;
        }
    }
}

#[tokio::test]
async fn sec_h1_14_chunk_sizes() {
    let sizes = ["0x5", "+5", "-5", " 5", "5 ", "\t5", "0_5", "", "g", "00000000000000005", "5,5", "\"5\""];
    let mut cases: Vec<String> = sizes.map(|size| chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n"))).to_vec();
    cases.push(chunked(&format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(1000))));
    cases.push(chunked("1\r\na\r\n+0\r\n\r\n"));
    breaks(&cases).await;
}

#[tokio::test]
async fn sec_h1_15_chunk_lines_end_in_crlf() {
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
        "2\r\nhello\r\n0\r\n\r\n",
    ];
    breaks(&bodies.map(chunked)).await;
}

#[tokio::test]
async fn sec_h1_16_chunk_extensions() {
    let long = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "x".repeat(64 << 10));
    let many = format!("1;a={}\r\nh\r\n", "x".repeat(1 << 10)).repeat(128) + "0\r\n\r\n";
    breaks(&[chunked(&long), chunked(&many), chunked("5;a\0b\r\nhello\r\n0\r\n\r\n")]).await;
    let rig = Rig::new(Front::Own).await;
    let body = "5;a=b;c\r\nhello\r\n1;q=\"x;\\\" y\"\r\n!\r\n0;last\r\n\r\n";
    assert_eq!(rig.forwards(chunked(body)).await.text(), "hello!");
    let bytes = &rig.origin.seen()[0].bytes;
    assert!(!bytes.contains(&b';'), "{}", text(bytes));
}

#[tokio::test]
async fn sec_h1_17_request_trailers_are_dropped() {
    let trailers = "Content-Length: 3\r\nHost: evil\r\nAuthorization: x\r\nTransfer-Encoding: chunked\r\nX-Any: y\r\n";
    for front in BOTH {
        let rig = Rig::new(front).await;
        let request = rig.forwards(chunked(&format!("5\r\nhello\r\n0\r\n{trailers}\r\n"))).await;
        assert_eq!((request.text(), request.field("host")), ("hello".to_owned(), Some("h")));
        assert_eq!((request.trailers.as_slice(), request.field("authorization")), (&[][..], None), "{front:?}");
        assert_eq!(request.field("x-any"), None);
    }
    let broken = ["X y: z\r\n", ": z\r\n", "nothing\r\n", " X: y\r\n", "X: y\r\n folded\r\n", "X: \0\r\n"];
    breaks(&broken.map(|trailer| chunked(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n")))).await;
}

#[tokio::test]
async fn sec_h1_18_a_body_that_ends_early_never_becomes_a_request() {
    let cases = [
        post("Content-Length: 50\r\n", "hello"),
        post("Content-Length: 50\r\n", ""),
        chunked("5\r\nhello\r\n"),
        chunked("5\r\nhel"),
        chunked("5\r\nhello\r\n0\r\n"),
        chunked("5\r\nhello\r\n0\r\n\r"),
        chunked(""),
    ];
    for front in BOTH {
        for case in &cases {
            for reset in [false, true] {
                let rig = Rig::new(front).await;
                let mut client = rig.client().await;
                client.send(case).await;
                rig.origin.wait(|seen| seen.first().is_some_and(|one| has_head(&one.bytes))).await;
                if reset {
                    client.reset();
                } else {
                    client.finish().await;
                }
                rig.aborted(0, case).await;
                // and the connection is not used again
                assert_eq!(rig.ask(get("/next")).await.status(), 200);
                assert_eq!(rig.origin.seen().len(), 2);
            }
        }
    }
}

#[tokio::test]
async fn sec_h1_18_a_body_that_stops_never_becomes_a_request() {
    for front in BOTH {
        let mut settings = Settings::default();
        settings.limits.body_timeout_ms = 300;
        let rig = Rig::with(front, Origin::saying("ok").await, settings, |builder, node| {
            builder.route(Route::new("/*").to_nodes([node]))
        })
        .await;
        let mut client = rig.client().await;
        client.send(post("Content-Length: 50\r\n", "hello")).await;
        assert_eq!(client.answer().await.status(), 408, "{front:?}");
        rig.aborted(0, "silence").await;
    }
}

/// A layer answers 401 to everything at `/private`; all else reaches the origin.
async fn with_private(front: Front) -> Rig {
    Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
        let guard = tower::layer::layer_fn(|_| deny(StatusCode::UNAUTHORIZED));
        builder
            .route(Route::new("/private").layer(guard).to_nodes([node.clone()]))
            .route(Route::new("/*").to_nodes([node]))
    })
    .await
}

#[tokio::test]
async fn sec_h1_19_a_body_that_nobody_read_is_never_a_request() {
    let private = |fields: &str, body: &str| format!("POST /private HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}");
    let hidden = HIDDEN.repeat(3);
    let small = private(&format!("Content-Length: {}\r\n", hidden.len()), &hidden);
    let chunks = private("Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()));
    let many = HIDDEN.repeat(8 << 10);
    let large = private(&format!("Content-Length: {}\r\n", many.len()), &many);
    for front in BOTH {
        for case in [&small, &chunks, &large] {
            for split in [case.find("\r\n\r\n").unwrap() + 4, case.len() - 7] {
                let rig = with_private(front).await;
                let mut client = rig.client().await;
                client.send_pieces([&case[..split], &case[split..], &get("/after")]).await;
                assert_eq!(client.answer().await.status(), 401);
                let rest = String::from_utf8(client_rest(&mut client).await).unwrap();
                // either the connection ended, or the next request was read behind the whole body
                assert!(rest.is_empty() || rest.matches("HTTP/1.1 200").count() == 1, "{front:?}: {rest}");
                let targets: Vec<_> = rig.origin.requests().iter().map(|one| one.target().to_owned()).collect();
                assert!(targets.iter().all(|target| target == "/after"), "{front:?}: {targets:?}");
                assert_eq!(targets.len(), usize::from(!rest.is_empty()));
            }
        }
    }
}

/// What comes until the connection ends or one more answer is whole.
async fn client_rest(client: &mut Client) -> Vec<u8> {
    client.finish().await;
    client.rest().await
}

#[tokio::test]
async fn sec_h1_20_pipelined_requests_are_judged_one_by_one() {
    for front in BOTH {
        let rig = with_private(front).await;
        let mut client = rig.client().await;
        client.send([get("/open"), get("/private"), get("/last")].concat()).await;
        for status in [200, 401, 200] {
            assert_eq!(client.answer().await.status(), status, "{front:?}");
        }
        let targets: Vec<_> = rig.origin.requests().iter().map(|one| one.target().to_owned()).collect();
        assert_eq!(targets, ["/open", "/last"]);
    }
}

#[tokio::test]
async fn sec_h1_20_pipelined_requests_are_served_one_at_a_time() {
    let steps = [Step::Request, Step::until("go"), Step::send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")];
    let rig = Rig::to(Front::Own, Origin::scripted(move |_| steps.to_vec()).await).await;
    let mut client = rig.client().await;
    let first = get("/first");
    client.send(&first).await;
    rig.origin.wait(|seen| seen.first().is_some_and(|one| one.bytes.ends_with(b"\r\n\r\n"))).await;
    // far more than is read ahead: the rest waits in the socket
    client.send_pieces((0..20).map(|number| get(&format!("/{number}")).repeat(10))).await;
    let seen = rig.origin.seen();
    assert_eq!((seen.len(), strict::requests(&seen[0].bytes).unwrap().len()), (1, 1));
}

#[tokio::test]
async fn sec_h1_21_expectations() {
    for front in BOTH {
        let rig = Rig::new(front).await;
        for value in ["y 100-continue", "100-continue, y", "100-continue;q=1", "101-continue", "", "100"] {
            rig.refuses(post(&format!("Expect: {value}\r\nContent-Length: 5\r\n"), "hello"), 417).await;
            rig.refuses(get_with(&format!("Expect: {value}\r\n")), 417).await;
        }
        rig.refuses(post("Expect: 100-continue\r\nExpect: y\r\nContent-Length: 5\r\n", "hello"), 417).await;
        // without a body there is nothing to go on with
        let request = rig.forwards(get_with("Expect: 100-continue\r\n")).await;
        assert_eq!(request.field("expect"), None);
    }
}

#[tokio::test]
async fn sec_h1_21_a_100_comes_only_when_the_body_is_wanted_and_never_behind_the_answer() {
    for front in BOTH {
        // the origin answers without the body: no 100 behind that, and the connection ends
        for refusal in ["417 Expectation Failed", "401 Unauthorized"] {
            let answer = format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n");
            let steps = vec![Step::until("\r\n\r\n"), Step::send(answer)];
            let rig = Rig::to(front, Origin::scripted(move |_| steps.clone()).await).await;
            let mut client = rig.client().await;
            client.send(post("Expect: 100-continue\r\nContent-Length: 5\r\n", "")).await;
            let mut answer = client.answer().await;
            // the gateway wants the body at once, so a 100 may come before the answer
            if answer.status() == 100 {
                answer = client.answer().await;
            }
            assert_eq!(answer.status().to_string(), refusal[..3], "{front:?}");
            client.finish().await;
            assert_eq!(text(&client.rest().await), "", "{front:?}");
        }
        // a layer answers: no 100 at all
        let rig = with_private(front).await;
        let mut client = rig.client().await;
        client.send("POST /private HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 401);
        assert_eq!(text(&client.rest().await), "", "{front:?}");
        // the usual way
        let rig = Rig::new(front).await;
        let mut client = rig.client().await;
        client.send(post("Expect: 100-continue\r\nContent-Length: 5\r\n", "")).await;
        assert_eq!(client.answer().await.status(), 100);
        client.send("hello").await;
        assert_eq!(client.answer().await.status(), 200);
        let request = rig.origin.request();
        assert_eq!((request.text(), request.field("expect")), ("hello".to_owned(), None));
    }
}

#[tokio::test]
async fn sec_h1_22_methods() {
    for front in BOTH {
        let rig = Rig::new(front).await;
        for (line, status) in [
            ("TRACE /", 405),
            ("CONNECT h:80", 405),
            ("CONNECT /", 405),
            ("PRI /", 501),
            ("PRI *", 501),
            (&format!("{} /", "A".repeat(33)), 400),
        ] {
            // hyper takes a CONNECT and such lines apart itself, and answers what it refuses with a 400
            let bytes = format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
            match front {
                Front::Own => rig.refuses(bytes, status).await,
                Front::Host => {
                    let answer = rig.ask(&bytes).await;
                    assert!([status, 400].contains(&answer.status()), "{line}: {}", answer.start);
                    rig.untouched(bytes);
                }
            }
        }
        for method in ["A".repeat(32), "PROPFIND".to_owned(), "get".to_owned(), "M-SEARCH".to_owned()] {
            let request = rig.forwards(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n")).await;
            assert_eq!(request.method(), method);
        }
    }
    all_refused(
        400,
        ["G(T /", "G\"T /", "G@T /", "G,T /", "{} /"].map(|line| format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n")),
    )
    .await;
}

#[tokio::test]
async fn sec_h1_23_other_protocols() {
    let rig = Rig::new(Front::Own).await;
    let streams: [&[u8]; 6] = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a client hello of TLS 1.2 \r\n\r\n",
        b"\x05\x01\0",
        b"\x04\x01\0\x50\x7f\0\0\x01\0\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ];
    for stream in streams {
        let mut client = rig.client().await;
        client.send(stream).await;
        client.finish().await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{}: {answer}", text(stream));
        rig.untouched(stream);
    }
}

#[tokio::test]
async fn sec_h1_24_nothing_of_the_clients_head_is_copied() {
    let cases = [
        ("GET /a?b=c HTTP/1.1\r\nHOST:h\r\nX-A:\t 1 \r\nx-a: 2\r\n\r\n".to_owned(), ""),
        (post("Content-Length: 05\r\n", "hello"), "hello"),
        (chunked("3\r\nhel\r\n00002;x\r\nlo\r\n000\r\n\r\n"), "hello"),
        ("GET /g HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".to_owned(), "hello"),
        ("GET /g HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".to_owned(), ""),
        (
            "DELETE /g HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
            "hello",
        ),
        ("HEAD /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), ""),
        ("POST /old HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello".to_owned(), "hello"),
    ];
    for front in BOTH {
        for (case, body) in &cases {
            let rig = Rig::new(front).await;
            let mut client = rig.client().await;
            client.send(case).await;
            assert_eq!(client.answer_to(case.split(' ').next().unwrap()).await.status(), 200);
            let request = rig.origin.request();
            assert_eq!(request.text(), *body, "{front:?}: {case}");
            let framing = [request.all("content-length").len(), request.all("transfer-encoding").len()];
            assert!(framing.iter().sum::<usize>() <= 1, "{request:?}");
            assert!(body.is_empty() || framing != [0, 0], "{request:?}");
            assert!(request.start.ends_with(" HTTP/1.1") && request.field("host").is_some(), "{request:?}");
        }
    }
}

/// Streams that servers may read in different ways, through the whole gateway.
#[path = "../support/corpus.rs"]
mod corpus;

#[tokio::test]
async fn sec_h1_24_whatever_comes_the_origin_gets_whole_messages_or_none() {
    futures_util::future::join_all(corpus::streams().into_iter().map(|(name, stream)| whole_or_none(name, stream)))
        .await;
}

async fn whole_or_none(name: &str, stream: Vec<u8>) {
    // short clocks: what waits for more is over soon
    let mut settings = Settings::default();
    settings.limits.head_timeout_ms = 200;
    settings.limits.body_timeout_ms = 200;
    settings.limits.idle_timeout_ms = 200;
    let rig = Rig::with(Front::Own, Origin::saying("ok").await, settings, |builder, node| {
        builder.route(Route::new("/*").to_nodes([node]))
    })
    .await;
    let mut client = rig.client().await;
    client.send(&stream).await;
    client.rest().await;
    for (at, seen) in rig.origin.seen().into_iter().enumerate() {
        let mut rest = &seen.bytes[..];
        while let Some((_, used)) = strict::request(rest).unwrap_or_else(|fault| panic!("{name}: {fault}")) {
            rest = &rest[used..];
        }
        // what is left was cut, and the origin knows
        if !rest.is_empty() {
            rig.origin.end_of(at).await;
        }
    }
}

#[tokio::test]
async fn sec_h1_25_one_answer_and_the_end() {
    let rig = Rig::new(Front::Own).await;
    for (bad, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n".to_owned(), 505),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9000)), 414),
        (get_with(&"X: y\r\n".repeat(101)), 431),
        (get_with("Expect: y\r\n"), 417),
        ("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 405),
    ] {
        // `refuses` sends a good request behind
        rig.refuses(bad, status).await;
    }
}
