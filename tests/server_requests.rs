//! Requests over real sockets: what reaches the service, and what the client is told.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
mod support;

use support::{Raw, Record, echo, start};
use tollgate::server::Limits;

/// Sends `bytes`, with a valid request behind it, and expects one refusal and nothing at the service.
async fn refused(bytes: impl AsRef<[u8]>, status: u16) {
    let record = Record::default();
    let (_server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    client.send([bytes.as_ref(), b"GET /behind HTTP/1.1\r\nHost: h\r\n\r\n"].concat()).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, status, "{:?}", String::from_utf8_lossy(bytes.as_ref()));
    assert!(answer.closes());
    assert!(client.ends().await);
    assert_eq!(record.lines(), [""; 0]);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let record = Record::default();
    let (server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    for number in 0..3 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (200, format!("GET /{number} ").as_str()));
        assert!(!answer.closes() && answer.head.contains("\r\ndate: "));
    }
    client.send("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(client.answer().await.text(), "POST /body hello");
    client.send("POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    client.send("2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "POST /chunks abcde");
    client.send("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(client.answer().await.closes());
    assert!(client.ends().await);
    support::wait_until("no connection is left", || server.connections() == 0).await;
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let record = Record::default();
    let (_server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    client.stream.set_nodelay(true).unwrap();
    for byte in b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.text(), "POST /a abc");
}

#[tokio::test]
async fn sec_h1_01_length_beside_a_coding_reaches_nobody() {
    refused("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)
        .await;
    refused("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400)
        .await;
}

#[tokio::test]
async fn sec_h1_08_bare_lf_reaches_nobody() {
    refused("GET / HTTP/1.1\nHost: h\n\n", 400).await;
    refused("GET / HTTP/1.1\r\nHost: h\r\n\n", 400).await;
}

#[tokio::test]
async fn sec_h1_09_versions() {
    refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505).await;
}

#[tokio::test]
async fn sec_h1_11_host_is_checked() {
    refused("GET / HTTP/1.1\r\n\r\n", 400).await;
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400).await;
}

#[tokio::test]
async fn sec_h1_20_pipelined_requests_are_served_in_order_one_at_a_time() {
    let record = Record::default();
    let (_server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    client
        .send(
            "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
             POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
             GET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
        )
        .await;
    for wanted in ["POST /1 abc", "POST /2 x", "GET /3 "] {
        assert_eq!(client.answer().await.text(), wanted);
    }
    assert_eq!(record.lines(), ["POST /1 abc", "POST /2 x", "GET /3 "]);
    // A flood of them is held back by not reading it, and still answered in order.
    for number in 0..2000 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(50))).await;
    }
    for number in 0..2000 {
        assert_eq!(client.answer().await.text(), format!("GET /{number} "));
    }
}

#[tokio::test]
async fn sec_h1_21_expectations() {
    refused("POST / HTTP/1.1\r\nHost: h\r\nExpect: y 100-continue\r\nContent-Length: 1\r\n\r\n", 417).await;
}

#[tokio::test]
async fn sec_h1_22_methods() {
    refused("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 405).await;
    refused("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 405).await;
    refused("PRI / HTTP/1.1\r\nHost: h\r\n\r\n", 501).await;
}

#[tokio::test]
async fn sec_h1_23_other_protocols() {
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400).await;
    refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400).await;
}

#[tokio::test]
async fn sec_h1_25_after_a_refusal_the_connection_ends() {
    refused("GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n", 400).await;
    // Also when the client goes on and on: it can still read the answer.
    let (_server, address) = start(Limits::default(), echo(&Record::default()));
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    client.send(vec![b'x'; 256 * 1024]).await;
    assert_eq!(client.answer().await.status, 400);
    assert!(client.ends().await);
}

#[tokio::test]
async fn http_10_clients() {
    let (_server, address) = start(Limits::default(), echo(&Record::default()));
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.head.contains("\r\nconnection: keep-alive\r\n"));
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert!(client.answer().await.closes());
    assert!(client.ends().await);
}

#[tokio::test]
async fn an_http_10_client_sees_the_end_of_an_answer_of_unknown_length() {
    let service = tollgate::Next::from_fn(|_unread| async {
        let pieces =
            ["a", "b"].map(|piece| Ok::<_, tollgate::BodyError>(http_body::Frame::data(bytes::Bytes::from(piece))));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
        tollgate::Response::new(tollgate::Body::new(body))
    });
    for body in ["", "Content-Length: 3\r\n"] {
        let (_server, address) = start(Limits::default(), service.clone());
        let mut client = Raw::connect(address).await;
        client.send(format!("POST / HTTP/1.0\r\nConnection: keep-alive\r\n{body}\r\n")).await;
        let said = client.rest_text().await;
        assert!(said.contains("\r\nconnection: close\r\n") && said.ends_with("\r\n\r\nab"), "{said}");
    }
}

#[tokio::test]
async fn answers_of_the_server_itself_can_be_problems() {
    let record = Record::default();
    let service = echo(&record);
    let server = tollgate::server::Server::builder().problem_details(true).serve(move |_| service.clone());
    let address = server.listen(tollgate::server::Listener::new(([127, 0, 0, 1], 0).into())).unwrap();
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.head.contains("\r\ncontent-type: application/problem+json\r\n"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&400.into(), &"bad_request".into()));
}
