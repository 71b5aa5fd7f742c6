//! One request and its response over HTTP/1: framing, streaming, fields.

use std::net::IpAddr;

use crate::support::*;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;
use tollgate::upstream::{ForwardContext, Forwarded, NodeConfig, PassHost, Target};
use tollgate::{Body, BodyError};

/// A body whose frames the test sends.
fn streamed() -> (mpsc::Sender<Result<Frame<Bytes>, BodyError>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    (sender, Body::stream(Box::pin(StreamBody::new(frames))))
}

fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::data(bytes.into()))
}

#[tokio::test]
async fn a_get_is_one_plain_request_and_the_connection_is_used_again() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: 1\r\n\r\nhi").await;
    let client = Client::of(&origin);
    for _ in 0..3 {
        assert_eq!(client.get("/a?b=c").await.unwrap(), (200, "hi".into()));
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.seen()[0], "GET /a?b=c HTTP/1.1\r\nhost: client.test\r\n\r\n");
}

#[tokio::test]
async fn sec_h1_24_framing_is_ours_alone() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = Client::of(&origin);
    let mut post = request("POST", "/", "abc");
    post.headers_mut().insert("content-length", HeaderValue::from_static("999"));
    post.headers_mut().insert("transfer-encoding", HeaderValue::from_static("chunked"));
    client.send(post).await.unwrap();
    client.send(request("POST", "/", Body::empty())).await.unwrap();
    client.send(request("DELETE", "/", Body::empty())).await.unwrap();
    let seen = origin.seen();
    assert_eq!(seen[0], "POST / HTTP/1.1\r\nhost: client.test\r\ncontent-length: 3\r\n\r\nabc");
    assert_eq!(seen[1], "POST / HTTP/1.1\r\nhost: client.test\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(seen[2], "DELETE / HTTP/1.1\r\nhost: client.test\r\n\r\n");
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_chunked_with_its_trailers() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = Client::of(&origin);
    let (frames, body) = streamed();
    let sending = tokio::spawn(async move {
        frames.send(data("abc")).await.unwrap();
        frames.send(data(vec![b'x'; 5000])).await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        frames.send(Ok(Frame::trailers(trailers))).await.unwrap();
    });
    client.send(request("PUT", "/", body)).await.unwrap();
    sending.await.unwrap();
    let expected = format!(
        "PUT / HTTP/1.1\r\nhost: client.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1388\r\n{}\r\n0\r\nx-sum: \
         7\r\n\r\n",
        "x".repeat(5000)
    );
    assert_eq!(origin.seen(), [expected]);
    client.idle(1).await;
}

#[tokio::test]
async fn responses_of_every_framing_arrive_whole() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", "abc", 1),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n", "abc", 1),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", 1),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", "", 1),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc", "abc", 0),
        ("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", "abc", 0),
    ];
    for (answer, body, idle) in cases {
        let origin = Origin::answering(answer).await;
        let client = Client::of(&origin);
        assert_eq!(client.get("/").await.unwrap().1, body, "{answer}");
        client.idle(idle).await;
    }
}

#[tokio::test]
async fn the_length_of_an_answer_to_head_passes() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n").await;
    let client = Client::of(&origin);
    let response = client.send(request("HEAD", "/", Body::empty())).await.unwrap();
    assert_eq!(response.headers()["content-length"], "12");
    assert!(response.body().is_empty());
    client.idle(1).await;
}

#[tokio::test]
async fn trailers_of_a_response_pass() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 9\r\nhost: evil\r\n\r\n";
    let origin = Origin::answering(answer).await;
    let client = Client::of(&origin);
    let cx = ForwardContext { trailers: true, ..ForwardContext::default() };
    let response = client.forward(request("GET", "/", Body::empty()), cx).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &HeaderValue::from_static("9")));
    assert!(origin.seen()[0].contains("te: trailers\r\nconnection: te\r\n"));
    client.idle(1).await;
}

#[tokio::test]
async fn ten_mebibytes_go_both_ways_at_once() {
    let origin = Origin::start(|mut conn| async move {
        conn.head().await.unwrap();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n").await;
        for _ in 0..160 {
            let part = conn.take(65536).await.unwrap();
            conn.send(part).await;
        }
        conn.closed().await;
    })
    .await;
    let client = Client::of(&origin);
    let sent: Vec<u8> = (0..10_485_760u32).map(|at| (at % 251) as u8).collect();
    let response = client.send(request("POST", "/", sent.clone())).await.unwrap();
    let received = response.into_body().collect().await.unwrap().to_bytes();
    assert!(received == sent, "echo differs");
    client.idle(1).await;
}

#[tokio::test]
async fn a_response_streams_before_the_request_has_ended() {
    let origin = Origin::start(|mut conn| async move {
        conn.head().await.unwrap();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for expected in ["1\r\na\r\n", "1\r\nb\r\n", "0\r\n\r\n"] {
            let chunk = conn.take(expected.len()).await.unwrap();
            assert_eq!(chunk, expected.as_bytes());
            conn.send(chunk).await;
        }
        conn.closed().await;
    })
    .await;
    let client = Client::of(&origin);
    let (frames, body) = streamed();
    frames.send(data("a")).await.unwrap();
    let mut body = client.send(request("POST", "/", body)).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    frames.send(data("b")).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "b");
    drop(frames);
    assert!(body.frame().await.is_none());
    client.idle(1).await;
}

#[tokio::test]
async fn the_reader_of_a_response_holds_the_origin_back() {
    let gate = Gate::default();
    let opened = gate.clone();
    let origin = Origin::start(move |mut conn| {
        let gate = gate.clone();
        async move {
            conn.request().await.unwrap();
            socket2::SockRef::from(&conn.stream).set_send_buffer_size(16 * 1024).unwrap();
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n").await;
            let part = vec![0; 1 << 20];
            let all = async {
                for _ in 0..64 {
                    conn.send(&part).await;
                }
            };
            tokio::select! {
                () = all => panic!("64 MiB went nowhere"),
                () = gate.pass() => {}
            }
        }
    })
    .await;
    let client = Client::of(&origin);
    let response = client.send(request("GET", "/", Body::empty())).await.unwrap();
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    opened.open();
    assert!(text(response).await.is_err());
}

#[tokio::test]
async fn forwarding_fields_are_written() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = Client::of(&origin);
    let prior = HeaderValue::from_static("203.0.113.7");
    let cx = ForwardContext {
        target: Some("/canonical?x=1"),
        forwarded: Some(Forwarded {
            client: IpAddr::from([203, 0, 113, 7]),
            peer: IpAddr::from([127, 0, 0, 1]),
            prior: Some(&prior),
            proto: b"http",
            host: b"client.test",
            port: b"9080",
        }),
        via: Some("1.1 tollgate"),
        ..ForwardContext::default()
    };
    client.forward(request("GET", "/%63anonical?x=1", Body::empty()), cx).await.unwrap();
    assert_eq!(
        origin.seen()[0],
        "GET /canonical?x=1 HTTP/1.1\r\nhost: client.test\r\nx-real-ip: 203.0.113.7\r\nx-forwarded-for: 203.0.113.7, \
         127.0.0.1\r\nx-forwarded-proto: http\r\nx-forwarded-host: client.test\r\nx-forwarded-port: 9080\r\nvia: 1.1 \
         tollgate\r\n\r\n"
    );
}

#[tokio::test]
async fn the_host_follows_pass_host() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let port = origin.address.port();
    let cases = [
        (PassHost::Pass, String::from("client.test")),
        (PassHost::Node, format!("localhost:{port}")),
        (PassHost::Rewrite(HeaderValue::from_static("other.test")), String::from("other.test")),
    ];
    for (pass_host, expected) in cases {
        let mut config = config(&[]);
        config.nodes = vec![NodeConfig::new(Target::host("LocalHost", port))];
        config.pass_host = pass_host;
        Client::new(config).get("/").await.unwrap();
        assert_eq!(field(origin.seen().last().unwrap(), "host"), Some(&*expected));
    }
}

#[tokio::test]
async fn nodes_of_ipv6_are_reached_with_and_without_brackets() {
    let listener = match tokio::net::TcpListener::bind("[::1]:0").await {
        Ok(listener) => listener,
        // A machine without IPv6.
        Err(_) => return,
    };
    let origin = Origin::on(listener, |mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(ok("six")).await;
        }
    });
    for host in ["::1", "[::1]"] {
        let mut config = config(&[]);
        config.nodes = vec![NodeConfig::new(Target::host(host, origin.address.port()))];
        config.pass_host = PassHost::Node;
        assert_eq!(Client::new(config).get("/").await.unwrap().1, "six");
        assert_eq!(field(origin.seen().last().unwrap(), "host"), Some(&*origin.address.to_string()));
    }
}

#[tokio::test]
async fn a_client_without_a_host_gets_the_authority_or_the_node() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = Client::of(&origin);
    for (uri, host) in [("http://a.test:1/x", "a.test:1"), ("/x", &*origin.address.to_string())] {
        let request = http::Request::builder().uri(uri).body(Body::empty()).unwrap();
        client.send(request).await.unwrap();
        assert_eq!(origin.seen().last().unwrap(), &format!("GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n"));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_closes_the_connection() {
    let closed = Gate::default();
    let seen = closed.clone();
    let origin = Origin::start(move |mut conn| {
        let closed = closed.clone();
        async move {
            conn.request().await.unwrap();
            if conn.index == 1 {
                conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
            }
            conn.closed().await;
            closed.open();
        }
    })
    .await;
    let client = Client::of(&origin);
    let send = client.send(request("GET", "/", Body::empty()));
    tokio::select! {
        _ = send => panic!("nobody answered"),
        () = until(|| !origin.seen().is_empty()) => {}
    }
    seen.pass().await;
    let response = client.send(request("GET", "/", Body::empty())).await.unwrap();
    drop(response);
    seen.pass().await;
    client.idle(0).await;
}
