//! Request heads, rule by rule. Each message is also given byte by byte: a prefix may only be open or decide like the whole.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
use bytes::Bytes;
use tollgate::http1::{Framing, HeadLimits, ParsedRequest, RequestFault, parse_request};

type Verdict = Result<Option<ParsedRequest>, RequestFault>;

fn verdict(input: &[u8], limits: &HeadLimits) -> Verdict {
    let whole = parse_request(&Bytes::copy_from_slice(input), limits);
    // Long messages are long in the middle: their ends and a few other places tell as much.
    let step = input.len() / 2048 * 61 + 1;
    for end in (0..input.len()).filter(|end| end % step == 0 || *end < 100 || end + 100 > input.len()) {
        match (parse_request(&Bytes::copy_from_slice(&input[..end]), limits), &whole) {
            (Ok(None), _) => {}
            (Ok(Some(early)), Ok(Some(late))) => {
                assert_eq!(early.used, late.used);
                assert!(early.used <= end);
            }
            (Err(early), Err(late)) => assert_eq!(early, *late, "after {end} bytes of {:?}", show(input)),
            (early, late) => panic!("after {end} bytes {early:?}, but whole {late:?}: {:?}", show(input)),
        }
    }
    whole
}

fn show(input: &[u8]) -> String {
    input.escape_ascii().take(300).map(char::from).collect()
}

fn refused(input: impl AsRef<[u8]>, status: u16) {
    let input = input.as_ref();
    match verdict(input, &HeadLimits::request()) {
        Err(fault) => assert_eq!(fault.status(), status, "{fault}: {}", show(input)),
        Ok(got) => panic!("{got:?} for {}", show(input)),
    }
}

fn served(input: impl AsRef<[u8]>) -> ParsedRequest {
    let input = input.as_ref();
    verdict(input, &HeadLimits::request()).unwrap_or_else(|fault| panic!("{fault}: {}", show(input))).unwrap()
}

/// A head with these field lines behind `Host`.
fn with(fields: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: gw.test\r\n{fields}\r\n\r\n")
}

#[test]
fn sec_h1_01_length_beside_a_coding() {
    for length in ["0", "5", "50", "x"] {
        refused(with(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked")), 400);
        refused(with(&format!("Transfer-Encoding: chunked\r\nContent-Length: {length}")), 400);
    }
}

#[test]
fn sec_h1_02_codings() {
    for good in ["chunked", "Chunked", " \t chunked \t "] {
        assert_eq!(served(with(&format!("transfer-Encoding:{good}"))).framing, Framing::Chunked);
    }
    for bad in [
        "xchunked",
        "\x0bchunked",
        "\"chunked\"",
        "chunked;q=1",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "",
        ",",
        "chunked,",
        "gzip",
        "chunke",
        "chunked chunked",
        "'chunked'",
    ] {
        refused(with(&format!("Transfer-Encoding: {bad}")), 400);
        refused(with(&format!("Content-Length: 5\r\nTransfer-Encoding: {bad}")), 400);
    }
    refused(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400);
    refused(with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), 400);
}

#[test]
fn sec_h1_03_codings_in_http_10() {
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", 400);
}

#[test]
fn sec_h1_04_lengths() {
    assert_eq!(served(with("Content-Length: 5")).framing, Framing::Length(5));
    assert_eq!(served(with("Content-Length: 0")).framing, Framing::Length(0));
    assert_eq!(served(with("Content-Length: 0000000000000000005")).framing, Framing::Length(5));
    for bad in [
        "+5",
        "-0",
        "0x5",
        "5;a",
        "5.0",
        "\"5\"",
        "1_0",
        "",
        "5 5",
        "5, 5",
        "5,6",
        "\u{0665}",
        "12345678901234567890",
        "00000000000000000005",
        "5\u{a0}",
    ] {
        refused(with(&format!("Content-Length: {bad}")), 400);
    }
    refused(with("Content-Length: 5\r\nContent-Length: 5"), 400);
    refused(with("Content-Length: 5\r\ncontent-length: 6"), 400);
    refused(with("Content-Length:\r\nContent-Length: 5"), 400);
}

#[test]
fn sec_h1_05_field_names() {
    for bad in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "X\x0b: 1",
        "X\0: 1",
        "X[: 1",
        "X/: 1",
        ": 1",
        "NoColon",
        "X Y: 1",
        "X@: 1",
        "X(: 1",
        "\"X\": 1",
    ] {
        refused(with(bad), 400);
    }
    for byte in 0x80..=0xff {
        refused([b"GET / HTTP/1.1\r\nHost: h\r\nX", &[byte][..], b": 1\r\n\r\n"].concat(), 400);
    }
    served(with("!#$%&'*+-.^_`|~09azAZ: 1"));
}

#[test]
fn sec_h1_06_folding() {
    refused("GET / HTTP/1.1\r\n Host: gw.test\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: gw.test\r\n b\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost:\r\n gw.test\r\n\r\n", 400);
    refused(with("X: a\r\n\tb"), 400);
    refused(with("Transfer-Encoding:\r\n chunked"), 400);
}

#[test]
fn sec_h1_07_control_bytes() {
    for byte in (0..=0x1f).chain([0x7f]) {
        let byte = &[byte][..];
        // A tab is white space in a value (RFC 9110 §5.5).
        if byte != b"\t" {
            refused([b"GET / HTTP/1.1\r\nHost: h\r\nX: a", byte, b"b\r\n\r\n"].concat(), 400);
        }
        refused([b"GET /a", byte, b"b HTTP/1.1\r\nHost: h\r\n\r\n"].concat(), 400);
        refused([b"GE", byte, b"T / HTTP/1.1\r\nHost: h\r\n\r\n"].concat(), 400);
    }
}

#[test]
fn sec_h1_08_line_ends() {
    for bad in [
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\rHost: h\r\r",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\rX",
        "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        refused(bad, 400);
    }
    let limits = &mut HeadLimits::request();
    limits.allow_bare_lf = true;
    assert!(verdict(b"GET / HTTP/1.1\nHost: h\n\n", limits).unwrap().is_some());
    assert!(verdict(b"GET / HTTP/1.1\r\nHost: h\n\r\n", limits).unwrap().is_some());
    assert!(verdict(b"GET / HTTP/1.1\rHost: h\n\n", limits).is_err());
}

#[test]
fn sec_h1_09_request_lines() {
    let line = |line: &str| format!("{line}\r\nHost: h\r\n\r\n");
    for bad in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / http/1.1",
        "GET /",
        "GET",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP",
        "GET / HTTP/1.1 x",
        "GET / XTTP/1.1",
        "GET / HTTP/1,1",
        "GET / HTTP/+1.1",
        " / HTTP/1.1",
        "GET / / HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        refused(line(bad), 400);
    }
    for other in ["GET / HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/3.1", "GET / HTTP/1.2"] {
        refused(line(other), 505);
    }
    served(line("GET / HTTP/1.0"));
}

#[test]
fn sec_h1_10_empty_lines_before_the_request() {
    assert_eq!(served("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").used, 29);
    refused("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400);
    refused("\r\n".repeat(100), 400);
}

#[test]
fn sec_h1_11_host() {
    let fields = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
    for bad in [
        "X: 1",
        "Host: a\r\nHost: a",
        "Host: a\r\nHost: b",
        "host: a\r\nHOST: a",
        "Host: a, b",
        "Host: a b",
        "Host: a/b",
        "Host: u@h",
        "Host: h#x",
        "Host: h?x",
        "Host: h\\x",
        "Host: <x>",
        "Host: h:99999",
        "Host: h:x",
        "Host:",
        "Host: ä",
    ] {
        refused(fields(bad), 400);
    }
    assert_eq!(served(fields("Host: [::1]:80")).head.headers()["host"], "[::1]:80");
    refused("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400);
    refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    served("GET / HTTP/1.0\r\n\r\n");
}

#[test]
fn sec_h1_12_absolute_form() {
    let target = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: other.test\r\n\r\n");
    let got = served(target("http://gw.test:8080/a?b=c"));
    assert_eq!(got.head.headers().get_all("host").iter().collect::<Vec<_>>(), ["gw.test:8080"]);
    assert_eq!((got.head.uri().path(), got.head.uri().query()), ("/a", Some("b=c")));
    for bad in ["http://u:p@h/", "ftp://h/", "http:///a", "http://h:x/", "http://h:70000/", "http:/a", "//h/../a#f"] {
        refused(target(bad), 400);
    }
    assert_eq!(served(target("//h/a")).head.uri().path(), "//h/a");
    refused("GET http://gw.test/ HTTP/1.1\r\n\r\n", 400);
}

#[test]
fn sec_h1_13_other_target_forms() {
    let line = |line: &str| format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
    for bad in ["GET *", "GET host:80", "GET s", "GET ?x", "OPTIONS **", "GET /a#b"] {
        refused(line(bad), 400);
    }
    assert_eq!(served(line("OPTIONS *")).head.uri(), "*");
}

#[test]
fn sec_h1_21_expectations() {
    assert!(served(with("Expect: 100-continue\r\nContent-Length: 5")).expect_continue);
    assert!(served(with("Expect: 100-Continue\r\nTransfer-Encoding: chunked")).expect_continue);
    let got = served(with("Expect: 100-continue"));
    assert!(!got.expect_continue && !got.head.headers().contains_key("expect"));
    for bad in [
        "y 100-continue",
        "y",
        "",
        "100-continue, y",
        "100-continue\r\nExpect: 100-continue",
        "y\r\nExpect: 100-continue",
    ] {
        refused(with(&format!("Expect: {bad}\r\nContent-Length: 5")), 417);
    }
    assert!(!served("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").expect_continue);
}

#[test]
fn sec_h1_22_methods() {
    let line = |method: &str| format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n");
    for (method, status) in [("TRACE", 405), ("PRI", 501), ("G(T", 400), ("G\u{e9}T", 400), (&"M".repeat(33), 400)] {
        refused(line(method), status);
    }
    refused("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 405);
    assert_eq!(served(line(&"M".repeat(32))).head.method().as_str().len(), 32);
    assert_eq!(served(line("get")).head.method().as_str(), "get");
}

#[test]
fn sec_h1_23_other_protocols() {
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400);
    refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400);
    refused(b"\x05\x01\x00", 400);
    refused(b"\x04\x01\x00\x50", 400);
}

#[test]
fn sec_hop_01_hop_fields_never_reach_the_map() {
    let got = served(with(
        "Connection: close, X-Secret\r\nConnection: x-two\r\nX-Secret: 1\r\nX-Two: 2\r\nKeep-Alive: 1\r\nProxy-Connection: 1\r\n\
         TE: gzip, trailers\r\nTrailer: X\r\nUpgrade: foo\r\nHTTP2-Settings: x\r\nProxy-Authorization: x\r\nX-Kept: 1",
    ));
    assert_eq!(got.head.headers().keys().collect::<Vec<_>>(), ["host", "x-kept"]);
    assert!(got.te_trailers && !got.keep_alive && got.upgrade.is_none());
}

#[test]
fn sec_hop_02_connection_cannot_name_end_to_end_fields() {
    let got = served(with(
        "Connection: Host, Content-Length, Authorization, Cookie, X-Forwarded-For\r\nContent-Length: 1\r\nAuthorization: a\r\n\
         Cookie: c\r\nX-Forwarded-For: 10.0.0.1",
    ));
    assert_eq!(got.head.headers().len(), 5);
    assert_eq!(got.framing, Framing::Length(1));
}

#[test]
fn sec_upg_03_wishes() {
    let wish = |head: &str| served(head).upgrade;
    let fields = "Host: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(wish(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).unwrap(), "websocket");
    assert_eq!(wish(&format!("POST / HTTP/1.1\r\nContent-Length: 1\r\n{fields}\r\n")), None);
    assert_eq!(wish(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{fields}\r\n")), None);
    assert_eq!(wish(&format!("GET / HTTP/1.0\r\n{fields}\r\n")), None);
    assert_eq!(wish("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"), None);
    assert_eq!(wish("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n"), None);
    assert_eq!(wish(&format!("GET / HTTP/1.1\r\n{fields}Upgrade: foo\r\n\r\n")), None);
}

#[test]
fn sec_h2_14_no_upgrade_to_h2c() {
    let got = served(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
    );
    assert_eq!(got.upgrade, None);
    assert_eq!(got.head.headers().len(), 1);
}

#[test]
fn sec_lim_01_request_line() {
    let line = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(bytes - 14));
    served(line(8192));
    refused(line(8193), 414);
    refused("G".repeat(9000), 414);
    refused(format!("GET /{}", "a".repeat(70_000)), 414);
}

#[test]
fn sec_lim_02_fields() {
    served(with(&format!("x: {}", "a".repeat(8192 - 3))));
    refused(with(&format!("x: {}", "a".repeat(8192 - 2))), 431);
    let fields = |count: usize| with(&vec!["x: 1"; count - 1].join("\r\n"));
    assert_eq!(served(fields(100)).head.headers().len(), 100);
    refused(fields(101), 431);
    let section = |last: usize| {
        let line = format!("x: {}\r\n", "a".repeat(8000 - 5)).repeat(4);
        with(&format!("{line}y: {}", "b".repeat(last - 5 - 15)))
    };
    served(section(768));
    refused(section(769), 431);
    // An endless one is refused as soon as it is over the limit.
    refused(format!("GET / HTTP/1.1\r\nHost: h\r\nx: {}", "a".repeat(9000)), 431);
}

#[test]
fn connections_stay_open_or_not() {
    for (head, stays) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nConnection: keep-alive,close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false),
    ] {
        assert_eq!(served(head).keep_alive, stays, "{head}");
    }
}

#[test]
fn a_usual_request_comes_through_whole() {
    let got = served(
        "GET /a/b?c=d HTTP/1.1\r\nHost: gw.test\r\nUser-Agent: x y\r\nX-A: 1\r\nX-A:2\r\nX-Empty:\r\nX-Obs: \u{e9}\r\n\r\nnext",
    );
    assert_eq!((got.head.method().as_str(), got.head.uri().to_string().as_str()), ("GET", "/a/b?c=d"));
    let headers = got.head.headers();
    assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((&headers["user-agent"], headers["x-empty"].len()), (&"x y".parse().unwrap(), 0));
    assert_eq!(headers["x-obs"].as_bytes(), "\u{e9}".as_bytes());
    assert_eq!((got.framing, got.keep_alive), (Framing::None, true));
}
