//! Bodies both ways over real sockets: framing, early ends, early answers, drains.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use support::{Raw, Record, echo, start, wait_until};
use tokio::sync::{Notify, mpsc};
use tollgate::server::Limits;
use tollgate::{Body, BodyError, Next, Response};

type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, BodyError>>;

/// A body that a test feeds.
struct Fed(mpsc::UnboundedReceiver<Result<Frame<Bytes>, BodyError>>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(cx)
    }
}

fn fed() -> (Frames, Body) {
    let (frames, receiver) = mpsc::unbounded_channel();
    (frames, Body::stream(Fed(receiver)))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// A service that answers without reading the body.
fn unread() -> Next {
    Next::from_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::from(format!("{} unread", request.uri())));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
    })
}

/// A service that gives out one prepared body.
fn once(body: Body) -> Next {
    let slot = Arc::new(std::sync::Mutex::new(Some(body)));
    Next::from_fn(move |_| {
        let body = slot.lock().unwrap().take().unwrap_or_default();
        async move { Response::new(body) }
    })
}

#[tokio::test]
async fn sec_h1_14_a_broken_chunk_is_answered_400_and_the_service_sees_no_end() {
    for bad in
        ["0x5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n"]
    {
        let record = Record::default();
        let (_server, address) = start(Limits::default(), echo(&record));
        let mut client = Raw::connect(address).await;
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{bad}")).await;
        client.send("GET /behind HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.closes()), (400, true), "{bad:?}");
        assert!(client.ends().await);
        assert_eq!(record.lines(), ["POST / !"]);
    }
}

#[tokio::test]
async fn sec_h1_16_endless_extensions() {
    let record = Record::default();
    let (_server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(1024)).repeat(128);
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 400);
    assert_eq!(record.lines(), ["POST / !"]);
}

#[tokio::test]
async fn sec_h1_17_request_trailers_are_checked_and_dropped() {
    let record = Record::default();
    let (_server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n";
    client.send(format!("{head}Content-Length: 5\r\nHost: x\r\nAuthorization: y\r\n\r\n")).await;
    assert_eq!(client.answer().await.text(), "POST / a");
    client.send(format!("{head}Bad Name: x\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test]
async fn sec_h1_18_a_body_that_ends_early_never_looks_complete() {
    for start_of in ["Content-Length: 50\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"] {
        let record = Record::default();
        let (server, address) = start(Limits::default(), echo(&record));
        let mut client = Raw::connect(address).await;
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{start_of}")).await;
        drop(client);
        wait_until("the service saw the break", || record.lines() == ["POST / !"]).await;
        wait_until("the connection is gone", || server.connections() == 0).await;
    }
}

#[tokio::test]
async fn sec_h1_19_a_small_unread_body_is_drained_and_the_connection_goes_on() {
    let (_server, address) = start(Limits::default(), unread());
    let mut client = Raw::connect(address).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    client.send(format!("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", hidden.len() + 4)).await;
    let answer = client.answer().await;
    assert_eq!((answer.text(), answer.closes()), ("/1 unread", false));
    client.send(format!("{hidden}bodyGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    assert_eq!(client.answer().await.text(), "/2 unread");
    // The same when the body came with the head, whole or in chunks.
    client.send(format!("POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len())).await;
    assert_eq!(client.answer().await.text(), "/3 unread");
    client.send("POST /4 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.text(), answer.closes()), ("/4 unread", false));
}

#[tokio::test]
async fn sec_h1_19_a_large_unread_body_ends_the_connection() {
    for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let (_server, address) = start(Limits::default(), unread());
        let mut client = Raw::connect(address).await;
        client.send(format!("POST /1 HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.closes()), (401, true));
        client.send("1\r\na\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(client.ends().await);
    }
}

#[tokio::test]
async fn sec_h1_19_a_drain_has_its_time() {
    let mut limits = Limits::default();
    limits.drain_timeout = Duration::from_millis(50);
    let (_server, address) = start(limits, unread());
    let mut client = Raw::connect(address).await;
    client.send("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "/1 unread");
    assert!(client.ends().await);
}

#[tokio::test]
async fn sec_h1_21_a_100_is_said_once_the_body_is_wanted() {
    let wanted = Arc::new(Notify::new());
    let service = {
        let wanted = Arc::clone(&wanted);
        Next::from_fn(move |request: Request<Body>| {
            let wanted = Arc::clone(&wanted);
            async move {
                wanted.notified().await;
                Response::new(Body::from(request.into_body().buffer(100).await.unwrap()))
            }
        })
    };
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    wanted.notify_one();
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text(), answer.closes()), (200, "hello", false));
    // Who does not wait is not told.
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello").await;
    wanted.notify_one();
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn sec_h1_21_no_100_when_the_body_is_not_wanted() {
    let (_server, address) = start(Limits::default(), unread());
    let mut client = Raw::connect(address).await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.closes()), (401, true));
    assert!(client.ends().await);
}

#[tokio::test]
async fn answers_are_framed_by_what_they_are() {
    let service = Next::from_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::from("hello"));
        match request.uri().path() {
            "/stream" => {
                let frames = ["a", "b"].map(data);
                *response.body_mut() = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
            }
            "/204" => *response.status_mut() = StatusCode::NO_CONTENT,
            "/304" => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.headers_mut().insert("content-length", HeaderValue::from_static("7"));
            }
            "/length" => {
                // Only the codec frames: what a layer says of it does not count.
                response.headers_mut().insert("content-length", HeaderValue::from_static("7"));
                response.headers_mut().insert("transfer-encoding", HeaderValue::from_static("gzip"));
                response.headers_mut().insert("connection", HeaderValue::from_static("x"));
            }
            _ => {}
        }
        response
    });
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    for (line, wanted) in [
        ("HEAD /x", "content-length: 5"),
        ("HEAD /stream", ""),
        ("GET /204", ""),
        ("GET /304", "content-length: 7"),
        ("GET /length", "content-length: 5"),
    ] {
        client.send(format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        let head = client.until("\r\n\r\n").await;
        let fields: Vec<_> = head.trim_end().lines().skip(1).filter(|line| !line.starts_with("date: ")).collect();
        assert_eq!(fields.join(", "), wanted, "{line}");
    }
    assert_eq!(client.take(5).await, b"hello");
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "ab");
    client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let text = client.rest_text().await;
    assert!(text.ends_with("\r\nconnection: close\r\n\r\nab") && !text.contains("transfer-encoding"), "{text}");
}

#[tokio::test]
async fn sec_h1_17_response_trailers_go_to_clients_that_take_them() {
    for (field, wanted) in [("TE: trailers\r\n", "0\r\nx-sum: 1\r\n\r\n"), ("", "0\r\n\r\n")] {
        let (frames, body) = fed();
        let (_server, address) = start(Limits::default(), once(body));
        let mut client = Raw::connect(address).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n")).await;
        frames.send(data("a")).unwrap();
        client.until("\r\n\r\n1\r\na").await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        trailers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        frames.send(Ok(Frame::trailers(trailers))).unwrap();
        assert_eq!(client.until("\r\n\r\n").await, format!("\r\n{wanted}"));
    }
}

#[tokio::test]
async fn sec_up_03_a_broken_answer_is_cut_and_never_ends_cleanly() {
    let (frames, body) = fed();
    let (_server, address) = start(Limits::default(), once(body));
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    frames.send(data("a")).unwrap();
    client.until("\r\n\r\n1\r\na").await;
    frames.send(Err(BodyError::Incomplete)).unwrap();
    assert!(!client.rest_text().await.contains("0\r\n"));

    // To a client that reads until the end, only a reset can tell.
    let (frames, body) = fed();
    let (_server, address) = start(Limits::default(), once(body));
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    frames.send(data("abc")).unwrap();
    client.until("\r\n\r\nabc").await;
    frames.send(Err(BodyError::Incomplete)).unwrap();
    let read = tokio::io::AsyncReadExt::read(&mut client.stream, &mut [0; 10]).await;
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);

    // When nothing was sent yet, it can be said.
    let (frames, body) = fed();
    frames.send(Err(BodyError::Incomplete)).unwrap();
    let (_server, address) = start(Limits::default(), once(body));
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 502);
    assert!(client.ends().await);
}

#[tokio::test]
async fn sec_up_07_an_early_answer_reaches_the_client_amid_its_upload() {
    let (_server, address) = start(Limits::default(), unread());
    let mut client = Raw::connect(address).await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n").await;
    let (mut reader, mut writer) = client.stream.split();
    let upload = async {
        // The server may stop reading at any time.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut writer, &vec![b'x'; 5_000_000]).await;
    };
    let mut seen = Vec::new();
    let download = async {
        let mut room = [0; 4096];
        while let Ok(count @ 1..) = tokio::io::AsyncReadExt::read(&mut reader, &mut room).await {
            seen.extend_from_slice(&room[..count]);
        }
    };
    tokio::join!(upload, download);
    assert!(String::from_utf8(seen).unwrap().starts_with("HTTP/1.1 401 Unauthorized\r\n"));
}

#[tokio::test]
async fn requests_and_answers_stream_at_once() {
    // Each piece of the request comes back before the next one is sent.
    let service = Next::from_fn(|request: Request<Body>| async move { Response::new(request.into_body()) });
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for piece in ["1\r\na", "2\r\nbc"] {
        client.send(format!("{piece}\r\n")).await;
        client.until(piece).await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.rest_text().await, "\r\n0\r\n\r\n");
}

#[tokio::test]
async fn sec_ovl_04_a_client_that_does_not_read_holds_the_service_back() {
    let polled = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let service = {
        let polled = Arc::clone(&polled);
        Next::from_fn(move |_| {
            let polled = Arc::clone(&polled);
            let frames = futures_util::stream::iter((0..100_000).map(move |_| {
                polled.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok::<_, BodyError>(Frame::data(Bytes::from_static(&[0; 16 * 1024])))
            }));
            async move { Response::new(Body::new(StreamBody::new(frames))) }
        })
    };
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    let count = || polled.load(std::sync::atomic::Ordering::Relaxed);
    // The sockets' own buffers fill, then nothing is asked of the body any more.
    let mut last = 0;
    loop {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        if count() == last && last > 0 {
            break;
        }
        last = count();
    }
    assert!(count() < 2000, "{}", count());
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    struct Dropped(Record);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.push("dropped".to_owned());
        }
    }
    let record = Record::default();
    let service = {
        let record = record.clone();
        Next::from_fn(move |_| {
            let dropped = Dropped(record.clone());
            async move {
                dropped.0.push("called".to_owned());
                std::future::pending::<()>().await;
                drop(dropped);
                Response::default()
            }
        })
    };
    let (server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    wait_until("the service is called", || !record.lines().is_empty()).await;
    drop(client);
    wait_until("the call is dropped", || record.lines() == ["called", "dropped"]).await;
    wait_until("the connection is gone", || server.connections() == 0).await;

    // The same while an answer streams and nothing moves.
    let (frames, body) = fed();
    let (_server, address) = start(Limits::default(), once(body));
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    drop(client);
    frames.closed().await;
}

#[tokio::test]
async fn sec_pan_01_a_panic_is_one_answer() {
    struct Bomb;
    impl http_body::Body for Bomb {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            panic!("in a body")
        }
    }
    struct DropBomb;
    impl Drop for DropBomb {
        fn drop(&mut self) {
            panic!("in a drop")
        }
    }
    let service = Next::from_fn(|request: Request<Body>| {
        let path = request.uri().path().to_owned();
        assert_ne!(path, "/call", "in the call");
        async move {
            let _bomb = (path == "/drop").then(|| DropBomb);
            assert_ne!(path, "/future", "in the future");
            let body = if path == "/body" { Body::stream(Bomb) } else { Body::from("fine") };
            Response::new(body)
        }
    });
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    for (path, status) in [("call", 500), ("fine", 200), ("future", 500), ("fine", 200), ("drop", 500), ("fine", 200)] {
        client.send(format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.closes()), (status, false), "{path}");
    }
    client.send("GET /body HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 502);
}

#[tokio::test]
async fn large_bodies_come_through_whole_both_ways() {
    let service = Next::from_fn(|request: Request<Body>| async move {
        let bytes = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Body::from(bytes))
    });
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    client.send(&body).await;
    let answer = client.answer().await;
    assert!(answer.body == body);
}
