//! gRPC from a client through a gateway to an endpoint, all of it over real sockets.
#![cfg(all(feature = "server", feature = "http2"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
mod support;

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{PATIENCE, Raw, start_with};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tollgate::gateway::Gateway;
use tollgate::model::{ReadOptions, read};
use tollgate::server::{Limits, Listener, Protocols, Server};
use tollgate::{Body, BodyError, Next, Response};

type Frames = mpsc::Sender<Result<Frame<Bytes>, BodyError>>;

fn channel() -> (Frames, Body) {
    let (frames, mut source) = mpsc::channel(1);
    let stream = futures_util::stream::poll_fn(move |cx| source.poll_recv(cx));
    (frames, Body::stream(StreamBody::new(stream)))
}

fn status(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(value))])
}

/// Echoes each message as it comes, then says how it went in trailers. `/refused` is answered by trailers alone, which
/// stand in the head then.
fn endpoint() -> Next {
    Next::from_fn(|request: Request<Body>| async move {
        assert_eq!(request.headers()["te"], "trailers");
        if request.uri().path() == "/refused" {
            let mut refused = Response::new(Body::empty());
            *refused.headers_mut() = status("7");
            return refused;
        }
        let (frames, answer) = channel();
        if request.uri().path() == "/told" {
            let mut told = Response::new(Body::empty());
            *told.headers_mut() = status("0");
            let timeout = request.headers().get("grpc-timeout").cloned();
            told.headers_mut().insert("x-told", timeout.unwrap_or(HeaderValue::from_static("nothing")));
            return told;
        }
        if request.uri().path() == "/silent" {
            return std::future::pending().await;
        }
        let mut messages = request.into_body();
        tokio::spawn(async move {
            while let Some(Ok(message)) = messages.frame().await {
                if message.is_data() && frames.send(Ok(message)).await.is_err() {
                    return;
                }
            }
            // The client may be gone, which its own side notices.
            let _ = frames.send(Ok(Frame::trailers(status("0")))).await;
        });
        Response::new(answer)
    })
}

fn gateway_before(endpoint: SocketAddr) -> (Server, SocketAddr) {
    let gateway = Gateway::builder().build().unwrap();
    let document = serde_json::json!({"routes": [{
        "id": "r", "uri": "/*",
        "upstream": {"scheme": "grpc", "nodes": {(endpoint.to_string()): 1}},
    }]});
    gateway.apply(read(&document, &ReadOptions::default()).snapshot).unwrap();
    let server = Server::builder().serve(move |info| gateway.connection(info));
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::Both)).unwrap();
    (server, address)
}

#[tokio::test]
async fn a_stream_goes_both_ways_at_once_and_ends_with_trailers() {
    let (_endpoint, address) = start_with(Limits::default(), endpoint(), Protocols::H2);
    let (_gateway, address) = gateway_before(address);
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let call = |path| {
        let uri = format!("http://grpc.test{path}");
        Request::post(uri).header("content-type", "application/grpc").header("te", "trailers")
    };
    let talk = async {
        let (messages, body) = channel();
        let answer = client.send_request(call("/pkg.Echo/Talk").body(body).unwrap()).await.unwrap();
        let mut answer = answer.into_body();
        for text in ["one", "two", "three"] {
            messages.send(Ok(Frame::data(text.into()))).await.unwrap();
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), text);
        }
        drop(messages);
        assert_eq!(answer.frame().await.unwrap().unwrap().into_trailers().unwrap(), status("0"));
        assert!(answer.frame().await.is_none());
        let refused = client.send_request(call("/refused").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(refused.headers()["grpc-status"], "7");
    };
    tokio::time::timeout(PATIENCE, talk).await.unwrap();
}

#[tokio::test]
async fn a_client_of_http_1_gets_the_trailers_when_it_takes_them() {
    let (_endpoint, address) = start_with(Limits::default(), endpoint(), Protocols::H2);
    let (_gateway, address) = gateway_before(address);
    for (asks, end) in [("TE: trailers\r\nConnection: te\r\n", "0\r\ngrpc-status: 0\r\n\r\n"), ("", "0\r\n\r\n")] {
        let mut client = Raw::connect(address).await;
        client
            .send(format!(
                "POST /x HTTP/1.1\r\nHost: h\r\n{asks}Content-Type: application/grpc\r\nContent-Length: 2\r\n\r\nhi"
            ))
            .await;
        assert_eq!(client.until(end).await.split("\r\n\r\n").nth(1).unwrap(), format!("2\r\nhi\r\n{end}").trim_end());
    }
}

/// The status of a call that the gateway answers itself.
async fn call_status(address: SocketAddr, path: &str, content_type: &str) -> (u16, Option<String>, Option<String>) {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let call = Request::post(format!("http://grpc.test{path}")).header("content-type", content_type);
    let answer = client.send_request(call.header("te", "trailers").body(Body::empty()).unwrap());
    let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
    let text = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let told = (answer.status().as_u16(), text("grpc-status"), text("grpc-message"));
    if told.1.is_some() {
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        assert!(hyper::body::Body::is_end_stream(answer.body()), "trailers only");
    }
    told
}

#[tokio::test]
async fn answers_of_the_gateway_and_of_plugins_reach_grpc_clients_as_statuses() {
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = serde_json::json!({"scheme": "grpc", "nodes": {(refusing.to_string()): 1}});
    let document = serde_json::json!({
        "routes": [
            {"id": "open", "uri": "/pkg.Open/*", "upstream": upstream},
            {"id": "closed", "uri": "/pkg.Closed/*", "upstream": upstream, "plugins": {"key-auth": {}}},
        ],
    });
    let gateway = Gateway::builder().build().unwrap();
    gateway.apply(read(&document, &ReadOptions::default()).snapshot).unwrap();
    let server = Server::builder().serve(move |info| gateway.connection(info));
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::Both)).unwrap();
    for (path, status, message) in [
        ("/pkg.Closed/Call", "16", "Missing API key in request"),
        ("/pkg.None/Call", "12", "404 Route Not Found"),
        ("/pkg.Open/Call", "14", "502 Bad Gateway"),
    ] {
        let told = call_status(address, path, "application/grpc+proto").await;
        assert_eq!(told, (200, Some(status.into()), Some(message.into())), "{path}");
    }
    // Whoever makes no call gets an answer of HTTP, and so does gRPC-Web.
    for content_type in ["application/json", "application/grpc-web"] {
        assert_eq!(call_status(address, "/pkg.Closed/Call", content_type).await, (401, None, None));
    }
    let mut client = Raw::connect(address).await;
    client
        .send(
            "POST /pkg.Closed/Call HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
    assert!(client.until("}").await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn the_deadline_of_a_call_is_passed_on_and_kept() {
    let (_endpoint, address) = start_with(Limits::default(), endpoint(), Protocols::H2);
    let (_gateway, address) = gateway_before(address);
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let call = |path, timeout| {
        let call = Request::post(format!("http://grpc.test{path}")).header("content-type", "application/grpc");
        call.header("te", "trailers").header("grpc-timeout", timeout)
    };
    let talk = async {
        // What is left of five seconds, in microseconds.
        let told = client.send_request(call("/told", "5S").body(Body::empty()).unwrap()).await.unwrap();
        let told: u64 = told.headers()["x-told"].to_str().unwrap().strip_suffix('u').unwrap().parse().unwrap();
        assert!((1_000_000..5_000_000).contains(&told), "{told}");
        // No answer: a head that is the status of the call.
        let silent = client.send_request(call("/silent", "50m").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!((silent.status().as_u16(), silent.headers()["grpc-status"].as_bytes()), (200, &b"4"[..]));
        // Half an answer: trailers end it.
        let (messages, body) = channel();
        let answer = client.send_request(call("/pkg.Echo/Talk", "300m").body(body).unwrap()).await.unwrap();
        let mut answer = answer.into_body();
        messages.send(Ok(Frame::data("one".into()))).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        let trailers = answer.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "4");
    };
    tokio::time::timeout(PATIENCE, talk).await.unwrap();
}
