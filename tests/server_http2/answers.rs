//! What answers look like on a stream.
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body::Frame as BodyFrame;
use http_body_util::StreamBody;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate::gateway::{Gateway, Route};
use tollgate::model::NodeSpec;
use tollgate::server::{Limits, Listener, Protocols, Server};
use tollgate::{Body, BodyError, Next, Response};

use super::raw::*;
use crate::support::{Record, echo, start_with};

const INTERNAL_ERROR: u32 = 2;

/// A service that answers with these frames of a body, which it says nothing of.
fn frames(list: fn() -> Vec<Result<&'static str, BodyError>>) -> Next {
    Next::from_fn(move |_| async move {
        let frames = list().into_iter().map(|frame| frame.map(|data| BodyFrame::data(Bytes::from(data))));
        Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
    })
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    let service = Next::from_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::from("hello"));
        if request.uri().path() == "/none" {
            *response.status_mut() = http::StatusCode::NO_CONTENT;
        }
        response
    });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    for (method, path, status) in [("HEAD", "/", 200), ("GET", "/none", 204)] {
        let mut raw = Raw::connect(address).await;
        raw.send(frame(HEADERS, WHOLE, 1, &head(method, path, &[]))).await;
        let answer = raw.until(|frame| frame.kind == HEADERS).await.unwrap();
        assert_eq!((answer.status(), answer.flags), (status, WHOLE), "{method} {path}");
    }
}

#[tokio::test]
async fn the_last_piece_of_a_body_ends_the_stream() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(get(1)).await;
    let data = raw.until(|frame| frame.kind == DATA).await.unwrap();
    assert_eq!(data.flags, END_STREAM);
}

#[tokio::test]
async fn a_client_is_told_to_go_on_once_its_body_is_wanted() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[("expect", "100-continue")]))).await;
    assert_eq!(raw.status(1).await, Some(100));
    raw.send(frame(DATA, END_STREAM, 1, b"hello")).await;
    assert_eq!(raw.status(1).await, Some(200));
    let body = raw.until(|frame| frame.kind == DATA).await.unwrap();
    assert_eq!(body.payload, b"POST http://h/ hello");
    // Who does not wait is told nothing.
    let mut raw = Raw::connect(address).await;
    let bytes = frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[("expect", "100-continue")]));
    raw.send([bytes, frame(DATA, END_STREAM, 1, b"hello")].concat()).await;
    assert_eq!(raw.status(1).await, Some(200));
}

#[tokio::test]
async fn sec_up_08_early_hints_pass() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = NodeSpec::host("127.0.0.1", origin.local_addr().unwrap().port());
    tokio::spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
        stream.write_all(format!("{hint}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").as_bytes()).await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    });
    let gateway = Gateway::builder().route(Route::new("/*").to_nodes([node])).build().unwrap();
    let server = Server::builder().serve(move |info| gateway.connection(info));
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::H2)).unwrap();
    let mut raw = Raw::connect(address).await;
    raw.send(get(1)).await;
    assert_eq!([raw.status(1).await, raw.status(1).await], [Some(103), Some(200)]);
}

#[tokio::test]
async fn sec_up_07_an_early_answer_ends_the_upload() {
    let service = Next::from_fn(|_| async { Response::new(Body::from("early")) });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[]))).await;
    let end = raw.until(|frame| frame.kind == DATA).await.unwrap();
    assert_eq!((end.flags, end.payload.as_slice()), (END_STREAM, &b"early"[..]));
    let reset = raw.until(|frame| frame.kind == RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.code()), (1, 0));
    // What was on its way is nobody's fault.
    raw.send(frame(DATA, 0, 1, b"more")).await;
    assert!(raw.serves(3).await);
}

#[tokio::test]
async fn sec_up_03_a_body_that_breaks_is_reset() {
    let broken = || vec![Ok("some"), Err(BodyError::Incomplete)];
    let (_server, address) = start_with(Limits::default(), frames(broken), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(get(1)).await;
    let reset = raw.until(|frame| frame.kind == RST_STREAM).await.unwrap();
    assert_eq!(reset.code(), INTERNAL_ERROR);
    // Before anything was sent it can be told.
    let (_server, address) = start_with(Limits::default(), frames(|| vec![Err(BodyError::Incomplete)]), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(get(1)).await;
    assert_eq!(raw.status(1).await, Some(502));
}

#[tokio::test]
async fn sec_pan_01_a_panic_inside_a_body_is_its_streams_alone() {
    let service = Next::from_fn(|request: Request<Body>| async move {
        if request.uri().path() == "/" {
            return Response::new(Body::from("fine"));
        }
        let frames = futures_util::stream::unfold(0, |at| async move {
            assert_eq!(at, 0, "a body that panics");
            Some((Ok::<_, BodyError>(BodyFrame::data(Bytes::from("some"))), 1))
        });
        Response::new(Body::new(StreamBody::new(Box::pin(frames))))
    });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(frame(HEADERS, WHOLE, 1, &head("GET", "/panic", &[]))).await;
    let reset = raw.until(|frame| frame.kind == RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.code()), (1, INTERNAL_ERROR));
    assert!(raw.serves(3).await);
}

/// Windows are no limit here; what is not read is.
#[tokio::test(start_paused = true)]
async fn sec_lim_08_who_does_not_read_is_cut() {
    let endless = Arc::new(Bytes::from(vec![0; 64 * 1024]));
    let service = Next::from_fn(move |_| {
        let endless = endless.clone();
        let frames = futures_util::stream::repeat_with(move || Ok::<_, BodyError>(BodyFrame::data((*endless).clone())));
        async move { Response::new(Body::new(StreamBody::new(frames))) }
    });
    let (server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::with_settings(address, &[(4, 0x7fff_ffff)]).await;
    raw.send(frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes())).await;
    let started = tokio::time::Instant::now();
    raw.send(get(1)).await;
    while server.connections() > 0 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(started.elapsed().as_secs() < 100);
    }
    assert!(started.elapsed().as_secs() >= 30, "{:?}", started.elapsed());
}
