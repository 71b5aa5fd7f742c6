//! From one version of HTTP to the other, and answers that come bit by bit.
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use super::peers::client::Client;
use super::peers::origin::{Origin, Step};
use super::peers::within;
use super::rig::Front;

/// A connection of HTTP/2 to the gateway.
async fn h2(front: &Front) -> http2::SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(front.address).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Answers with the id and the body of the request; over HTTP/1 or HTTP/2, as `two` says.
async fn echo(two: bool) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: Request<Incoming>| async {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let answer =
                    Response::builder().header("x-id", &head.headers["x-id"]).header("x-path", head.uri.path());
                Ok::<_, std::convert::Infallible>(answer.body(Full::new(body)).unwrap())
            });
            let io = TokioIo::new(stream);
            tokio::spawn(async move {
                if two {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(io, service).await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_http_2_reach_origins_of_http_1() {
    let front = Front::of_http(echo(false).await);
    let client = h2(&front).await;
    let mut calls = tokio::task::JoinSet::new();
    for id in 0..200_u32 {
        let mut client = client.clone();
        calls.spawn(async move {
            let body = Bytes::from(format!("{id}").repeat(id as usize * 7));
            let request = Request::post(format!("http://gw.test/a/{id}")).header("x-id", id);
            client.ready().await.unwrap();
            let answer = client.send_request(request.body(Full::new(body.clone())).unwrap()).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["x-id"], id.to_string());
            assert_eq!(answer.headers()["x-path"], format!("/a/{id}"));
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
        });
    }
    within(|| "the calls".into(), async {
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_http_1_reach_origins_of_http_2() {
    let front = Front::of_grpc(echo(true).await);
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let address = front.address;
        calls.spawn(async move {
            let mut client = Client::connect(address).await;
            for call in 0..50 {
                let (id, body) = (caller * 1000 + call, format!("{call}").repeat(call * 7));
                let framing = if call % 2 == 0 {
                    format!("content-length: {}\r\n\r\n{body}", body.len())
                } else if body.is_empty() {
                    String::from("transfer-encoding: chunked\r\n\r\n0\r\n\r\n")
                } else {
                    format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
                };
                client.send(format!("POST /a HTTP/1.1\r\nhost: gw.test\r\nx-id: {id}\r\n{framing}")).await;
                let answer = client.answer().await;
                assert_eq!((answer.status(), answer.text()), (200, body));
                assert_eq!(answer.field("x-id"), Some(&*id.to_string()));
            }
        });
    }
    within(|| "the calls".into(), async {
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
    })
    .await;
}

/// Each event has to reach the client before the origin says the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_as_they_are_sent() {
    let events = ["data: one\n\n", "data: two\n\n", "data: three\n\n"];
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    for over_two in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (next, mut wanted) = tokio::sync::mpsc::channel::<()>(1);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut seen, mut room) = (Vec::new(), [0; 4096]);
            while !seen.ends_with(b"\r\n\r\n") {
                let count = tokio::io::AsyncReadExt::read(&mut stream, &mut room).await.unwrap();
                seen.extend_from_slice(&room[..count]);
            }
            tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
            for event in events {
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                tokio::io::AsyncWriteExt::write_all(&mut stream, chunk.as_bytes()).await.unwrap();
                wanted.recv().await.unwrap();
            }
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"0\r\n\r\n").await.unwrap();
        });
        let front = Front::of_http(address);
        within(|| format!("the events, over HTTP/2: {over_two}"), async {
            if over_two {
                let request = Request::get("http://gw.test/").header("accept", "text/event-stream");
                let answer = h2(&front).await.send_request(request.body(Full::default()).unwrap()).await.unwrap();
                let mut body = answer.into_body();
                for event in events {
                    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), event);
                    next.send(()).await.unwrap();
                }
                assert_eq!(body.collect().await.unwrap().to_bytes(), "");
            } else {
                let mut client = Client::connect(front.address).await;
                client.send("GET / HTTP/1.1\r\nhost: gw.test\r\naccept: text/event-stream\r\n\r\n").await;
                for event in events {
                    client.until(event).await;
                    next.send(()).await.unwrap();
                }
                client.until("0\r\n\r\n").await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_hints_arrive_before_the_answer_is_there() {
    let origin = Origin::scripted(|_| {
        vec![
            Step::until("\r\n\r\n"),
            Step::send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"),
            Step::until("later"),
            Step::send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ]
    })
    .await;
    let front = Front::of_http(origin.address());
    let mut client = Client::connect(front.address).await;
    client.send("POST / HTTP/1.1\r\nhost: gw.test\r\ncontent-length: 5\r\n\r\n").await;
    let hints = client.until("\r\n\r\n").await;
    let hints = String::from_utf8(hints).unwrap();
    assert!(hints.starts_with("HTTP/1.1 103 ") && hints.contains("</a.css>"), "{hints}");
    client.send("later").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), &*answer.text()), (200, "ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_carry_messages_of_any_size_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() || message.is_binary() {
                        socket.send(message).await.unwrap();
                    }
                }
            });
        }
    });
    let front = Front::of_http(address);
    let mut sockets = tokio::task::JoinSet::new();
    for own in 0..8_usize {
        let url = format!("ws://{}/chat", front.address);
        sockets.spawn(async move {
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
            for size in [0, 1, 125, 126, 65_535, 65_536, 3_000_000] {
                let message = Message::binary(vec![u8::try_from(own).unwrap(); size]);
                socket.send(message.clone()).await.unwrap();
                assert_eq!(socket.next().await.unwrap().unwrap(), message);
                let message = Message::text(format!("{own} {size}"));
                socket.send(message.clone()).await.unwrap();
                assert_eq!(socket.next().await.unwrap().unwrap(), message);
            }
            socket.close(None).await.unwrap();
            while socket.next().await.is_some() {}
        });
    }
    within(|| "the sockets".into(), async {
        while let Some(ended) = sockets.join_next().await {
            ended.unwrap();
        }
    })
    .await;
}
