//! HTTP/2 by prior knowledge on own listeners.
#![cfg(all(feature = "server", feature = "http2"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
#[path = "server_http2/answers.rs"]
mod answers;
#[path = "server_http2/drains.rs"]
mod drains;
#[path = "server_http2/floods.rs"]
mod floods;
#[path = "server_http2/malformed.rs"]
mod malformed;
#[path = "server_http2/raw.rs"]
mod raw;
#[cfg(feature = "tls")]
#[path = "server_http2/secure.rs"]
mod secure;
mod support;
#[path = "server_http2/websocket.rs"]
mod websocket;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Raw, Record, echo, start_with, wait_until};
use tokio::net::TcpStream;
use tollgate::server::{Limits, Protocols};
use tollgate::{Body, BodyError, Next, Response};

type Client = SendRequest<Full<Bytes>>;

async fn connect(address: std::net::SocketAddr) -> (Client, tokio::task::JoinHandle<Result<(), hyper::Error>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (client, tokio::spawn(connection))
}

async fn ask(client: &mut Client, request: http::request::Builder, body: &'static str) -> (u16, HeaderMap, String) {
    let response = client.send_request(request.body(Full::from(body)).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (head.status.as_u16(), head.headers, text)
}

#[tokio::test]
async fn either_protocol_is_told_by_its_first_bytes() {
    let record = Record::default();
    let (server, address) = start_with(Limits::default(), echo(&record), Protocols::Both);
    let (mut client, connection) = connect(address).await;
    let (status, _, text) = ask(&mut client, Request::post("http://gw.test/two"), "body").await;
    assert_eq!((status, text.as_str()), (200, "POST http://gw.test/two body"));
    let mut plain = Raw::connect(address).await;
    plain.stream.set_nodelay(true).unwrap();
    // It begins like the preface, and is none.
    for piece in ["P", "RI", "NT /one HTTP/1.1\r\nHost: h\r\n\r\n"] {
        plain.send(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(plain.answer().await.text(), "PRINT /one ");
    plain.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(plain.answer().await.status, 400);
    drop(client);
    connection.await.unwrap().unwrap();
    wait_until("all have ended", || server.connections() == 0).await;
}

#[tokio::test]
async fn h2c_alone_refuses_http1() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let (mut client, _connection) = connect(address).await;
    assert_eq!(ask(&mut client, Request::get("http://gw.test/"), "").await.0, 200);
    let mut plain = Raw::connect(address).await;
    plain.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(!plain.rest().await.starts_with(b"HTTP/"));
}

#[tokio::test]
async fn sec_h2_03_authority_is_the_host() {
    let service = Next::from_fn(|request: Request<Body>| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        let fields =
            [&request.headers()["host"], request.headers().get("cookie").unwrap_or(&HeaderValue::from_static(""))]
                .map(|value| value.to_str().unwrap().to_owned());
        Response::new(Body::from(fields.join("|")))
    });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let (mut client, _connection) = connect(address).await;
    let url = "http://gw.test:80/";
    assert_eq!(ask(&mut client, Request::get(url), "").await.2, "gw.test:80|");
    assert_eq!(ask(&mut client, Request::get(url).header("host", "GW.test:80"), "").await.0, 200);
    assert_eq!(ask(&mut client, Request::get(url).header("host", "other"), "").await.0, 400);
    // H2-06: pieces of a cookie are one field.
    let cookies = Request::get(url).header("cookie", "a=1").header("cookie", "b=2");
    assert_eq!(ask(&mut client, cookies, "").await.2, "gw.test:80|a=1; b=2");
    // H2-07.
    assert_eq!(ask(&mut client, Request::connect("gw.test:80"), "").await.0, 405);
}

#[tokio::test]
async fn sec_pan_01_a_panic_ends_its_stream_alone() {
    let service = Next::from_fn(|request: Request<Body>| async move {
        assert_ne!(request.uri().path(), "/panic");
        Response::new(Body::from("fine"))
    });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let (client, _connection) = connect(address).await;
    let (mut one, mut other) = (client.clone(), client);
    let (broken, fine) =
        tokio::join!(ask(&mut one, Request::get("http://h/panic"), ""), ask(&mut other, Request::get("http://h/"), ""));
    assert_eq!((broken.0, fine.0), (500, 200));
}

#[tokio::test]
async fn trailers_pass() {
    let service = Next::from_fn(|_| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames: Vec<Result<_, BodyError>> = vec![Ok(Frame::data(Bytes::from("a"))), Ok(Frame::trailers(trailers))];
        Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
    });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let (mut client, _connection) = connect(address).await;
    let request = Request::get("http://h/").body(Full::default()).unwrap();
    let collected = client.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test(start_paused = true)]
async fn sec_lim_09_a_connection_without_a_stream_ends() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let (mut client, connection) = connect(address).await;
    assert_eq!(ask(&mut client, Request::get("http://h/"), "").await.0, 200);
    let started = tokio::time::Instant::now();
    connection.await.unwrap().unwrap();
    let idle = started.elapsed().as_secs();
    assert!((59..=121).contains(&idle), "{idle}");
}

#[tokio::test(start_paused = true)]
async fn sec_lim_13_a_request_has_five_minutes_until_its_answer() {
    let called = std::sync::Arc::new(std::sync::Mutex::new(None));
    let service = {
        let called = called.clone();
        Next::from_fn(move |_| {
            *called.lock().unwrap() = Some(tokio::time::Instant::now());
            std::future::pending::<Response>()
        })
    };
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let (mut client, _connection) = connect(address).await;
    assert_eq!(ask(&mut client, Request::get("http://h/never"), "").await.0, 504);
    let called = called.lock().unwrap().unwrap();
    assert!(called.elapsed().as_secs() >= 300);
}

#[tokio::test]
async fn sec_h2_13_a_drain_answers_every_accepted_stream() {
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let service = {
        let go = go.clone();
        Next::from_fn(move |_| {
            let go = go.clone();
            async move {
                go.notified().await;
                Response::new(Body::from("done"))
            }
        })
    };
    let (server, address) = start_with(Limits::default(), service, Protocols::H2);
    let (mut client, connection) = connect(address).await;
    let asked = tokio::spawn(async move { ask(&mut client, Request::get("http://h/"), "").await });
    wait_until("it is served", || server.connections() == 1).await;
    let drain = tokio::spawn(async move { server.drain(Duration::from_secs(30)).await });
    go.notify_one();
    assert_eq!(asked.await.unwrap().2, "done");
    drain.await.unwrap();
    connection.await.unwrap().unwrap();
}
