//! Heads that no request may have, and frames that nobody may send.
use http::Request;
use http_body_util::BodyExt as _;
use tollgate::server::{Limits, Protocols};
use tollgate::{Body, Next, Response};

use super::raw::*;
use crate::support::{Record, echo, start_with};

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    Answered(u16),
    /// The stream is reset with this code.
    Reset(u32),
    /// The connection ends with this code.
    Goodbye(u32),
}

async fn outcome(raw: &mut Raw, stream: u32) -> Outcome {
    let seen = raw
        .until(|frame| match frame.kind {
            HEADERS | RST_STREAM => frame.stream == stream,
            kind => kind == GOAWAY,
        })
        .await;
    let Some(seen) = seen else { panic!("the connection ended without a word") };
    match seen.kind {
        HEADERS if seen.status() == 200 => Outcome::Served,
        HEADERS => Outcome::Answered(seen.status()),
        RST_STREAM => Outcome::Reset(seen.code()),
        _ => Outcome::Goodbye(seen.code()),
    }
}

/// Sends blocks of fields as whole requests over a connection each; what became of them, and nothing else reached the service.
async fn judge(cases: Vec<(Vec<u8>, Outcome)>) {
    let record = Record::default();
    let (_server, address) = start_with(Limits::default(), echo(&record), Protocols::H2);
    for (block, wanted) in cases {
        let mut raw = Raw::connect(address).await;
        raw.send(frame(HEADERS, WHOLE, 1, &block)).await;
        let text = String::from_utf8_lossy(&block).into_owned();
        assert_eq!(outcome(&mut raw, 1).await, wanted, "{text:?}");
        assert_eq!(!record.take().is_empty(), wanted == Outcome::Served, "{text:?}");
        if !matches!(wanted, Outcome::Goodbye(_)) {
            assert!(raw.serves(3).await, "the connection is unharmed: {text:?}");
            record.take();
        }
    }
}

fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    head("GET", "/", fields)
}

const MALFORMED: Outcome = Outcome::Reset(PROTOCOL_ERROR);

#[tokio::test]
async fn sec_h2_01_names_and_values() {
    judge(vec![
        (with(&[("x-a", "b c")]), Outcome::Served),
        (with(&[("x-a", " b")]), Outcome::Answered(400)),
        (with(&[("x-a", "b\t")]), Outcome::Answered(400)),
    ])
    .await;
    let bad = ["X-a", "x a", "x:a", "", "x\0a", "x\u{e9}", "x\r\na"];
    for name in bad {
        never_served(with(&[(name, "b")])).await;
    }
    for byte in [0_u8, b'\r', b'\n', 0x7f, 1] {
        never_served(with(&[("x-a", &format!("b{}c", byte as char))])).await;
    }
}

/// Refused in whatever way, and never by being served.
async fn never_served(block: Vec<u8>) {
    let record = Record::default();
    let (_server, address) = start_with(Limits::default(), echo(&record), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(frame(HEADERS, WHOLE, 1, &block)).await;
    let text = String::from_utf8_lossy(&block).into_owned();
    assert_ne!(outcome(&mut raw, 1).await, Outcome::Served, "{text:?}");
    assert!(record.take().is_empty(), "{text:?}");
}

#[tokio::test]
async fn sec_h2_02_pseudo_fields() {
    let fields =
        |fields: &[(&str, &str)]| fields.iter().flat_map(|(name, value)| field(name, value)).collect::<Vec<u8>>();
    let (method, scheme, path, authority) =
        ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "h"));
    judge(vec![
        (fields(&[method, scheme, path, authority]), Outcome::Served),
        (fields(&[scheme, path, authority]), MALFORMED),
        (fields(&[method, path, authority]), MALFORMED),
        (fields(&[method, scheme, authority]), MALFORMED),
        (fields(&[method, scheme, path]), Outcome::Answered(400)),
        (fields(&[method, method, scheme, path, authority]), MALFORMED),
        (fields(&[method, scheme, path, path, authority]), MALFORMED),
        (fields(&[method, scheme, path, authority, ("x-a", "b"), authority]), MALFORMED),
        (fields(&[method, scheme, path, ("x-a", "b"), authority]), MALFORMED),
        (fields(&[method, scheme, path, authority, (":status", "200")]), MALFORMED),
        (fields(&[method, scheme, (":path", ""), authority]), MALFORMED),
        (fields(&[method, scheme, (":path", "a"), authority]), MALFORMED),
        (fields(&[method, scheme, (":path", "*"), authority]), Outcome::Answered(400)),
        (fields(&[method, (":scheme", "ftp"), path, authority]), Outcome::Answered(400)),
        (fields(&[method, scheme, path, (":authority", "a b")]), MALFORMED),
        (fields(&[method, scheme, path, (":authority", "u@h")]), Outcome::Answered(400)),
        (fields(&[method, scheme, (":path", "/ HTTP/1.1\r\nx: y"), authority]), MALFORMED),
    ])
    .await;
    never_served(fields(&[method, scheme, path, authority, (":unknown", "a")])).await;
    never_served(fields(&[(":method", "GET /"), scheme, path, authority])).await;
    // In trailers they are no fields of the request, and are left out.
    let service = Next::from_fn(|request: Request<Body>| async move {
        let trailers = request.into_body().collect().await.unwrap().trailers().cloned().unwrap_or_default();
        let names: Vec<_> = trailers.keys().map(|name| name.as_str()).collect();
        Response::new(Body::from(names.join(",")))
    });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[]))).await;
    raw.send(frame(HEADERS, WHOLE, 1, &fields(&[path, ("x-sum", "1")]))).await;
    let body = raw.until(|frame| frame.kind == DATA).await.unwrap();
    assert_eq!(body.payload, b"x-sum");
}

#[tokio::test]
async fn sec_h2_04_fields_of_a_connection() {
    let bad = [
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ];
    let mut cases: Vec<_> = bad.iter().map(|field| (with(&[*field]), MALFORMED)).collect();
    cases.push((with(&[("te", "trailers")]), Outcome::Served));
    judge(cases).await;
}

#[tokio::test]
async fn sec_h2_05_lengths_that_do_not_fit_break_the_body() {
    // The data, in frames of its own; the last one ends the stream.
    for (length, data, served) in [
        ("5", vec!["hel", "lo"], true),
        ("5", vec!["hello", ""], true),
        ("5", vec!["hell"], false),
        ("5", vec!["hello", "x"], false),
        ("0", vec!["x"], false),
        ("-1", vec!["x"], false),
        ("5", vec![], false),
    ] {
        let record = Record::default();
        let (_server, address) = start_with(Limits::default(), echo(&record), Protocols::H2);
        let mut raw = Raw::connect(address).await;
        let ends = if data.is_empty() { WHOLE } else { END_HEADERS };
        let mut bytes = frame(HEADERS, ends, 1, &head("POST", "/", &[("content-length", length)]));
        for (at, piece) in data.iter().enumerate() {
            bytes.extend(frame(DATA, u8::from(at + 1 == data.len()), 1, piece.as_bytes()));
        }
        raw.send(bytes).await;
        let wanted = if served { Outcome::Served } else { MALFORMED };
        assert_eq!(outcome(&mut raw, 1).await, wanted, "{length} {data:?}");
        // Whether the service heard of it is one thing; that it heard of the break is the other.
        assert!(raw.serves(3).await);
        assert!(
            record.take().iter().all(|line| served || line.contains('!') || line.starts_with("GET")),
            "{length} {data:?}"
        );
    }
}

#[tokio::test]
async fn sec_h2_05_the_last_bytes_wait_for_the_end_of_the_stream() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let service = Next::from_fn(move |request: Request<Body>| {
        let told = told.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                let _ = told.send(frame.map(|frame| frame.into_data().unwrap_or_default()).map_err(drop));
            }
            Response::new(Body::empty())
        }
    });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[("content-length", "5")]))).await;
    raw.send(frame(DATA, 0, 1, b"hel")).await;
    assert_eq!(heard.recv().await.unwrap().unwrap(), "hel");
    raw.send(frame(DATA, 0, 1, b"lo")).await;
    raw.send(frame(PING, 0, 0, &[0; 8])).await;
    raw.until(|frame| frame.kind == PING).await.unwrap();
    raw.send(frame(DATA, 0, 1, b"x")).await;
    assert!(heard.recv().await.unwrap().is_err(), "the whole body never was there");
}

#[tokio::test]
async fn sec_h2_07_connect() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let plain: Vec<u8> =
        [(":method", "CONNECT"), (":authority", "h:80")].iter().flat_map(|(n, v)| field(n, v)).collect();
    for (block, status) in [
        (plain, 405),
        (head("CONNECT", "/", &[]), 0),
        ([head("CONNECT", "/", &[]), vec![]].concat(), 0),
        (extended("connect-udp"), 501),
        // The service here knows of no tunnels, and answers as if it had been asked for a page.
        (extended("websocket"), 502),
    ] {
        let mut raw = Raw::connect(address).await;
        raw.send(frame(HEADERS, END_HEADERS, 1, &block)).await;
        let wanted = if status == 0 { MALFORMED } else { Outcome::Answered(status) };
        assert_eq!(outcome(&mut raw, 1).await, wanted, "{status}");
    }
}

fn extended(protocol: &str) -> Vec<u8> {
    [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":path", "/"), (":authority", "h")]
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

#[tokio::test]
async fn sec_h2_12_frames_where_they_do_not_belong() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let open = || frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[]));
    let whole = || get(1);
    let goodbye = Outcome::Goodbye;
    let cases: Vec<(&str, Vec<Vec<u8>>, Outcome)> = vec![
        ("DATA on stream 0", vec![frame(DATA, 0, 0, b"x")], goodbye(PROTOCOL_ERROR)),
        ("HEADERS on stream 0", vec![frame(HEADERS, WHOLE, 0, &head("GET", "/", &[]))], goodbye(PROTOCOL_ERROR)),
        ("HEADERS on an even stream", vec![get(2)], goodbye(PROTOCOL_ERROR)),
        ("HEADERS on a lower stream", vec![get(5), get(3)], goodbye(PROTOCOL_ERROR)),
        ("DATA on an idle stream", vec![frame(DATA, 0, 7, b"x")], goodbye(PROTOCOL_ERROR)),
        ("WINDOW_UPDATE on an idle stream", vec![frame(WINDOW_UPDATE, 0, 7, &[0, 0, 0, 1])], goodbye(PROTOCOL_ERROR)),
        ("RST_STREAM on an idle stream", vec![frame(RST_STREAM, 0, 7, &[0; 4])], goodbye(PROTOCOL_ERROR)),
        ("RST_STREAM on stream 0", vec![frame(RST_STREAM, 0, 0, &[0; 4])], goodbye(PROTOCOL_ERROR)),
        ("RST_STREAM of another size", vec![open(), frame(RST_STREAM, 0, 1, &[0; 3])], goodbye(PROTOCOL_ERROR)),
        ("PRIORITY on stream 0", vec![frame(PRIORITY, 0, 0, &[0; 5])], goodbye(PROTOCOL_ERROR)),
        ("PRIORITY on itself", vec![open(), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0])], Outcome::Reset(PROTOCOL_ERROR)),
        ("SETTINGS on a stream", vec![frame(SETTINGS, 0, 1, &[])], goodbye(PROTOCOL_ERROR)),
        ("SETTINGS of another size", vec![frame(SETTINGS, 0, 0, &[0; 5])], goodbye(PROTOCOL_ERROR)),
        ("SETTINGS with an ACK and more", vec![frame(SETTINGS, ACK, 0, &[0; 6])], goodbye(PROTOCOL_ERROR)),
        ("a window beyond 2^31-1", vec![frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])], goodbye(PROTOCOL_ERROR)),
        ("frames too small", vec![frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff])], goodbye(PROTOCOL_ERROR)),
        ("PING on a stream", vec![frame(PING, 0, 1, &[0; 8])], goodbye(PROTOCOL_ERROR)),
        ("PING of another size", vec![frame(PING, 0, 0, &[0; 7])], goodbye(PROTOCOL_ERROR)),
        (
            "PUSH_PROMISE by a client",
            vec![open(), frame(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])],
            goodbye(PROTOCOL_ERROR),
        ),
        ("WINDOW_UPDATE of 0", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 4])], goodbye(PROTOCOL_ERROR)),
        ("WINDOW_UPDATE of another size", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])], goodbye(PROTOCOL_ERROR)),
        (
            "WINDOW_UPDATE beyond 2^31-1",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])],
            goodbye(FLOW_CONTROL_ERROR),
        ),
        (
            "WINDOW_UPDATE beyond 2^31-1 of a stream",
            vec![open(), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])],
            Outcome::Reset(FLOW_CONTROL_ERROR),
        ),
        ("CONTINUATION without HEADERS", vec![frame(CONTINUATION, END_HEADERS, 1, &[])], goodbye(PROTOCOL_ERROR)),
        (
            "another frame inside of a block",
            vec![frame(HEADERS, 0, 1, &head("GET", "/", &[])), frame(PING, 0, 0, &[0; 8])],
            goodbye(PROTOCOL_ERROR),
        ),
        (
            "a block that goes on on another stream",
            vec![frame(HEADERS, 0, 1, &head("GET", "/", &[])), frame(CONTINUATION, END_HEADERS, 3, &[])],
            goodbye(PROTOCOL_ERROR),
        ),
        ("a frame that is too long", vec![frame(DATA, 0, 1, &[0; 16_385])], goodbye(FRAME_SIZE_ERROR)),
        ("padding as long as the frame", vec![open(), frame(DATA, 8, 1, &[5, 0, 0])], goodbye(PROTOCOL_ERROR)),
        (
            "a field that nobody knows by its number",
            vec![frame(HEADERS, WHOLE, 1, &[0xff, 0xff, 0x7f])],
            goodbye(PROTOCOL_ERROR),
        ),
        (
            "a table larger than was agreed",
            vec![frame(HEADERS, WHOLE, 1, &[0x3f, 0xe1, 0xff, 0x7f])],
            goodbye(PROTOCOL_ERROR),
        ),
        ("a frame of a kind that nobody knows", vec![frame(99, 0, 0, b"xyz"), whole()], Outcome::Served),
        ("a PRIORITY ahead of its stream", vec![frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]), whole()], Outcome::Served),
        ("a setting that nobody knows", vec![frame(SETTINGS, 0, 0, &[0x7f, 0, 0, 0, 0, 1]), whole()], Outcome::Served),
    ];
    for (what, frames, wanted) in cases {
        let mut raw = Raw::connect(address).await;
        raw.try_send(frames.concat()).await;
        let seen = outcome(&mut raw, 1).await;
        // The kind counts: a table of codes is of use to nobody but testers.
        let kind = |outcome| match outcome {
            Outcome::Goodbye(code) if code != 0 => Outcome::Goodbye(1),
            other => other,
        };
        assert_eq!(kind(seen), kind(wanted), "{what}: {seen:?}");
        if let Outcome::Goodbye(_) = wanted {
            while raw.next().await.is_some() {}
        }
    }
    // Behind the end of a stream.
    let mut raw = Raw::connect(address).await;
    raw.send([get(1), frame(DATA, 0, 1, b"x")].concat()).await;
    let seen = raw.until(|frame| matches!(frame.kind, RST_STREAM | GOAWAY)).await.unwrap();
    assert!(matches!(seen.code(), STREAM_CLOSED | PROTOCOL_ERROR));
}
