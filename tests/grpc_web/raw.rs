//! gRPC-Web byte by byte, over HTTP/1.1 and HTTP/2, and what goes wrong.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::calls::until;
use super::origin::Origin;
use super::peers::client::Client;
use super::peers::strict::Message;
use super::peers::within;
use super::rig::Front;

/// A gateway that speaks gRPC-Web on `/*`, and below `/web/`.
pub(crate) fn front(origin: &Origin) -> Front {
    let upstream = json!({"scheme": "grpc", "nodes": {(origin.address.to_string()): 1}});
    let plugins = json!({"grpc-web": {"max_req_body_size": 1_000_000}});
    Front::of_routes(&json!([
        {"id": "r", "uri": "/*", "plugins": plugins, "upstream": upstream},
        {"id": "web", "uri": "/web/*", "plugins": plugins, "upstream": upstream},
        {"id": "service", "uri": "/test.Echo/*", "plugins": plugins, "upstream": upstream},
    ]))
}

fn message(text: &str) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((text.len() as u32).to_be_bytes());
    frame.extend(text.bytes());
    frame
}

/// The messages of an answer, and the lines of its last frame.
fn frames(mut bytes: &[u8]) -> (Vec<String>, Option<String>) {
    let mut messages = Vec::new();
    while let [flags, a, b, c, d, rest @ ..] = bytes {
        let (frame, behind) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        let text = String::from_utf8(frame.to_vec()).unwrap();
        if *flags == 0x80 {
            assert!(behind.is_empty());
            return (messages, Some(text));
        }
        messages.push(text);
        bytes = behind;
    }
    assert!(bytes.is_empty());
    (messages, None)
}

/// Undoes base64 that is padded wherever its sender flushed.
fn decode(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|group| STANDARD.decode(group).unwrap()).collect()
}

/// One call over HTTP/1.1.
async fn call(front: &Front, path: &str, kind: &str, body: &[u8]) -> Message {
    let mut client = Client::connect(front.address).await;
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: gw.test\r\ncontent-type: {kind}\r\nx-id: 7\r\n");
    client.send([head.as_bytes(), format!("content-length: {length}\r\n\r\n").as_bytes(), body].concat()).await;
    client.answer().await
}

const WEB: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_lead_to_services_whatever_the_pattern() {
    let origin = Origin::start().await;
    let front = front(&origin);
    for path in ["/test.Echo/Unary", "/web/test.Echo/Unary"] {
        let answer = call(&front, path, WEB, &message("hello")).await;
        assert_eq!((answer.status(), answer.field("content-type"), answer.field("x-id")), (200, Some(WEB), Some("7")));
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
        assert_eq!(frames(&answer.body), (vec!["hello".into()], Some("grpc-status:0\r\n".into())), "{path}");
        let answer = call(&front, path, TEXT, STANDARD.encode(message("hello")).as_bytes()).await;
        assert_eq!(answer.field("content-type"), Some(TEXT));
        assert_eq!(frames(&decode(&answer.body)), (vec!["hello".into()], Some("grpc-status:0\r\n".into())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_without_a_message_stand_in_the_head() {
    let origin = Origin::start().await;
    let front = front(&origin);
    let answer = call(&front, "/web/test.Echo/Fail", TEXT, STANDARD.encode(message("5")).as_bytes()).await;
    assert_eq!((answer.status(), answer.field("grpc-status")), (200, Some("5")));
    assert_eq!((answer.field("grpc-message"), answer.body.len()), (Some("it%20fails:%2050%20%25%20%C3%BC"), 0));
    let answer = call(&front, "/test.Echo/None", WEB, &message("")).await;
    assert_eq!((answer.status(), answer.field("grpc-status")), (200, Some("12")));
    origin.die();
    let answer = call(&front, "/test.Echo/Unary", WEB, &message("")).await;
    assert_eq!((answer.status(), answer.field("grpc-status")), (200, Some("14")));
    assert_eq!(answer.field("content-type"), Some(WEB));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_call_is_refused_and_reaches_no_service() {
    let origin = Origin::start().await;
    let front = front(&origin);
    let compressed = [&[2][..], &message("a")[1..]].concat();
    let large = [&b"\0\0\x0f\x42\x41"[..], &[7; 9]].concat();
    for (kind, body, status) in [
        ("application/json", message("a"), 400),
        (WEB, message("hello")[..7].to_vec(), 400),
        (WEB, compressed, 400),
        (WEB, b"\x80\0\0\0\0".to_vec(), 400),
        (WEB, large, 413),
        (WEB, vec![0; 1_000_001], 413),
        (TEXT, b"AAAAAAAA!".to_vec(), 400),
        (TEXT, b"AAAAAAA".to_vec(), 400),
        (TEXT, STANDARD.encode(&message("hello")[..6]).into_bytes(), 400),
    ] {
        let answer = call(&front, "/test.Echo/Unary", kind, &body).await;
        assert_eq!(answer.status(), status, "{kind} {:?}", &body[..body.len().min(20)]);
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    }
    let mut client = Client::connect(front.address).await;
    client.send("GET /test.Echo/Unary HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
    let answer = client.answer_to("GET").await;
    assert_eq!((answer.status(), answer.field("allow")), (405, Some("POST, OPTIONS")));
    client.send("OPTIONS /test.Echo/Unary HTTP/1.1\r\nhost: gw.test\r\norigin: http://a.test\r\n\r\n").await;
    let answer = client.answer_to("OPTIONS").await;
    assert_eq!((answer.status(), answer.field("access-control-allow-methods")), (204, Some("POST")));
    assert_eq!(answer.field("access-control-allow-headers"), Some("content-type,x-grpc-web,x-user-agent"));
    until("no call is running", || origin.seen.running.load(SeqCst) == 0).await;
}

type Pieces = mpsc::Sender<Result<Frame<Bytes>, std::convert::Infallible>>;
type Answer = Pin<Box<dyn Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>> + Send>>;

/// A call over HTTP/2 whose request is sent bit by bit.
async fn streamed(front: &Front, path: &str, kind: &str) -> (Pieces, Answer) {
    let io = TokioIo::new(TcpStream::connect(front.address).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let (pieces, mut source) = mpsc::channel(1);
    let body = StreamBody::new(stream::poll_fn(move |cx| source.poll_recv(cx)));
    let request = Request::post(format!("http://gw.test{path}")).header("content-type", kind).header("x-id", 7);
    (pieces, Box::pin(client.send_request(request.body(body).unwrap())))
}

/// The next piece of a body, as bytes.
async fn piece(body: &mut hyper::body::Incoming, is_text: bool) -> Vec<u8> {
    let frame = within(|| "a piece of the answer".into(), body.frame()).await.expect("it ended").unwrap();
    let data = frame.into_data().expect("trailers");
    if is_text { decode(&data) } else { data.to_vec() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_both_ways_as_they_come() {
    let origin = Origin::start().await;
    let front = front(&origin);
    for kind in [WEB, TEXT] {
        let is_text = kind == TEXT;
        let (pieces, answer) = streamed(&front, "/test.Echo/Talk", kind).await;
        let say = async |bytes: Vec<u8>| {
            let bytes = if is_text { STANDARD.encode(bytes).into_bytes() } else { bytes };
            // Cut where no group of base64 ends.
            let (begin, end) = bytes.split_at(bytes.len().min(3));
            for part in [begin, end].into_iter().filter(|part| !part.is_empty()) {
                pieces.send(Ok(Frame::data(Bytes::copy_from_slice(part)))).await.unwrap();
            }
        };
        say(message("one")).await;
        let mut answer = within(|| "the head".into(), answer).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, kind));
        for text in ["one", "two", "three"] {
            if text != "one" {
                say(message(text)).await;
            }
            let mut seen = Vec::new();
            while seen.len() < message(text).len() {
                seen.extend(piece(answer.body_mut(), is_text).await);
            }
            assert_eq!(seen, message(text), "{kind}");
        }
        drop(pieces);
        let last = piece(answer.body_mut(), is_text).await;
        assert_eq!(frames(&last), (vec![], Some("grpc-status:0\r\n".into())));
        assert!(answer.body_mut().frame().await.is_none());
    }
    until("both calls were ended", || origin.seen.running.load(SeqCst) == 0).await;
    assert_eq!(origin.seen.cancelled.load(SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_dies_in_the_midst_of_its_answer_cuts_it_off() {
    let origin = Origin::start().await;
    let front = front(&origin);
    let (pieces, answer) = streamed(&front, "/test.Echo/Talk", WEB).await;
    pieces.send(Ok(Frame::data(message("one").into()))).await.unwrap();
    let mut answer = within(|| "the head".into(), answer).await.unwrap();
    assert_eq!(piece(answer.body_mut(), false).await, message("one"));
    origin.die();
    let broken = within(|| "the end".into(), answer.body_mut().collect()).await;
    assert!(broken.is_err(), "a short answer looks like a whole one");

    let origin = Origin::start().await;
    let front = self::front(&origin);
    let mut client = Client::connect(front.address).await;
    let head = "POST /test.Echo/Talk HTTP/1.1\r\nhost: gw.test\r\nx-id: 7\r\ntransfer-encoding: chunked\r\n";
    let body = String::from_utf8(message("one")).unwrap();
    client.send(format!("{head}content-type: {WEB}\r\n\r\n8\r\n{body}\r\n")).await;
    client.until("one").await;
    origin.die();
    let rest = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n") && !String::from_utf8_lossy(&rest).contains("grpc-status"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_is_not_worked_for() {
    let origin = Origin::start().await;
    let front = front(&origin);
    let mut client = Client::connect(front.address).await;
    let body = String::from_utf8(message("100")).unwrap();
    let head = format!("POST /test.Echo/Flood HTTP/1.1\r\nhost: gw.test\r\nx-id: 7\r\ncontent-type: {TEXT}\r\n");
    let body = STANDARD.encode(body);
    client.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    client.until("AAAAAGQHBwcH").await;
    client.reset();
    until("the flood was given up", || origin.seen.cancelled.load(SeqCst) == 1).await;

    let (pieces, answer) = streamed(&front, "/test.Echo/Hang", WEB).await;
    pieces.send(Ok(Frame::data(message("").into()))).await.unwrap();
    until("it hangs", || origin.seen.running.load(SeqCst) == 1).await;
    drop(answer);
    until("the second call was given up", || origin.seen.cancelled.load(SeqCst) == 2).await;
    drop(pieces);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_is_over_is_told_as_one() {
    let origin = Origin::start().await;
    let front = front(&origin);
    let mut client = Client::connect(front.address).await;
    let head =
        format!("POST /test.Echo/Hang HTTP/1.1\r\nhost: gw.test\r\ngrpc-timeout: 100m\r\ncontent-type: {WEB}\r\n");
    client.send(format!("{head}content-length: 5\r\n\r\n\0\0\0\0\0")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.field("grpc-status")), (200, Some("4")));
    until("the call was given up", || origin.seen.cancelled.load(SeqCst) == 1).await;
}
