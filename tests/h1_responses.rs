//! Response heads, rule by rule, each also given byte by byte.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
use bytes::Bytes;
use http::Method;
use tollgate::http1::{Framing, HeadLimits, ParsedResponse, ResponseFault, parse_response};

fn verdict(input: &[u8], method: &Method) -> Result<Option<ParsedResponse>, ResponseFault> {
    let limits = HeadLimits::response();
    let whole = parse_response(&Bytes::copy_from_slice(input), method, &limits);
    // Long messages are long in the middle: their ends and a few other places tell as much.
    let step = input.len() / 2048 * 61 + 1;
    for end in (0..input.len()).filter(|end| end % step == 0 || *end < 100 || end + 100 > input.len()) {
        match (parse_response(&Bytes::copy_from_slice(&input[..end]), method, &limits), &whole) {
            (Ok(None), _) => {}
            (Ok(Some(early)), Ok(Some(late))) => assert_eq!(early.used, late.used),
            (Err(early), Err(late)) => assert_eq!(early, *late, "after {end} bytes"),
            (early, late) => panic!("after {end} bytes {early:?}, but whole {late:?}"),
        }
    }
    whole
}

fn refused(input: impl AsRef<[u8]>) -> ResponseFault {
    let input = input.as_ref();
    match verdict(input, &Method::GET) {
        Err(fault) => fault,
        Ok(got) => panic!("{got:?} for {:?}", input.escape_ascii().to_string()),
    }
}

fn taken(input: impl AsRef<[u8]>) -> ParsedResponse {
    verdict(input.as_ref(), &Method::GET).unwrap().unwrap()
}

#[test]
fn sec_up_01_status_lines() {
    for bad in [
        "HTTP/1.1 99 x",
        "HTTP/1.1 000 x",
        "HTTP/1.1 099 x",
        "HTTP/1.1 600 x",
        "HTTP/1.1 999 x",
        "HTTP/1.1 20 x",
        "HTTP/1.1 2000 x",
        "HTTP/1.1  200 x",
        "HTTP/2.0 200 x",
        "HTTP/1.2 200 x",
        "http/1.1 200 x",
        "HTTP/1.1 2x0 x",
        "ICY 200 OK",
        "200 OK",
        "HTTP/1.1 200 a\x01b",
        "HTTP/1.1 200 a\rb",
        "HTTP/1.1 +20 x",
        "\r\nHTTP/1.1 200 x",
        " HTTP/1.1 200 x",
    ] {
        refused(format!("{bad}\r\nContent-Length: 0\r\n\r\n"));
    }
    for good in ["HTTP/1.1 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.0 599 \u{e9}", "HTTP/1.1 418 I'm a teapot"]
    {
        assert_eq!(taken(format!("{good}\r\nContent-Length: 0\r\n\r\n")).framing, Framing::Length(0));
    }
}

#[test]
fn sec_up_01_framing_and_fields() {
    for bad in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length:",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "X : 1",
        "X: a\r\n b",
        ": 1",
        "X: a\0b",
        "X: a\rb",
        "X: \x7f",
        "X",
        "X\u{e9}: 1",
    ] {
        refused(format!("HTTP/1.1 200 OK\r\n{bad}\r\n\r\n"));
    }
    refused("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n");
    refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn sec_up_02_limits() {
    let head = |fields: String| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    assert_eq!(taken(head("x: 1\r\n".repeat(200))).head.headers().len(), 200);
    assert_eq!(refused(head("x: 1\r\n".repeat(201))), ResponseFault::TooLarge);
    let half = format!("x: {}\r\n", "a".repeat(32 * 1024 - 5));
    assert_eq!(verdict(head(half.clone()).as_bytes(), &Method::GET).unwrap().unwrap().head.headers().len(), 1);
    let parse = |text: String| parse_response(&text.into(), &Method::GET, &HeadLimits::response());
    assert!(parse(head(half.repeat(2))).unwrap().is_some());
    assert_eq!(parse(head(format!("{}x: 1\r\n", half.repeat(2)))).unwrap_err(), ResponseFault::TooLarge);
    assert_eq!(parse(head(format!("x: {}\r\n", "a".repeat(1 << 20)))).unwrap_err(), ResponseFault::TooLarge);
    assert_eq!(parse("a".to_owned()).unwrap_err(), ResponseFault::Malformed("version"));
}

#[test]
fn framing_follows_method_and_status() {
    let framing = |method, head: &str| verdict(head.as_bytes(), &method).unwrap().unwrap().framing;
    assert_eq!(framing(Method::GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Framing::Chunked);
    assert_eq!(framing(Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), Framing::Length(7));
    assert_eq!(framing(Method::GET, "HTTP/1.1 200 OK\r\n\r\n"), Framing::Close);
    assert_eq!(framing(Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), Framing::None);
    for status in ["100", "101", "103", "199", "204", "304"] {
        assert_eq!(framing(Method::GET, &format!("HTTP/1.1 {status} x\r\nContent-Length: 7\r\n\r\n")), Framing::None);
    }
}

#[test]
fn connections_stay_open_or_not() {
    for (head, stays) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        assert_eq!(taken(head).keep_alive, stays, "{head}");
    }
}

#[test]
fn sec_hop_01_hop_fields_never_reach_the_map() {
    let got = taken(
        "HTTP/1.1 101 x\r\nConnection: Upgrade, X-Secret\r\nUpgrade: websocket\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTrailer: a\r\nX: 1\r\n\r\n",
    );
    assert_eq!(got.upgrade.unwrap(), "websocket");
    assert_eq!(got.head.headers().keys().collect::<Vec<_>>(), ["x"]);
}
