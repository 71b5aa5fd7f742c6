//! Bodies that stream and are sent again (security.md RET-03).
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;
use tollgate::upstream::{NodeConfig, RetryConfig};
use tollgate::{Body, BodyError};

use crate::support::*;

type Frames = mpsc::Sender<Result<Frame<Bytes>, BodyError>>;

/// A body of unknown length, and where its pieces go in.
fn streamed() -> (Frames, Body) {
    let (frames, mut source) = mpsc::channel(64);
    let stream = futures_util::stream::poll_fn(move |cx| source.poll_recv(cx));
    (frames, Body::stream(StreamBody::new(stream)))
}

fn pieces(pieces: &[&'static str]) -> Body {
    let frames: Vec<Result<_, BodyError>> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from(*piece)))).collect();
    Body::stream(StreamBody::new(futures_util::stream::iter(frames)))
}

/// `first` gets every request before `then` does.
fn in_turn(first: &Origin, then: &Origin) -> Client {
    let nodes: [NodeConfig; 2] = [node(first.address).with_priority(1), node(then.address)];
    let mut config = config(&[]);
    config.nodes = nodes.into();
    config.retry.backoff_base = Duration::ZERO;
    Client::new(config)
}

/// The data of a chunked body as it was on the wire.
fn unchunked(request: &str) -> String {
    let mut rest = request.split_once("\r\n\r\n").unwrap().1;
    let mut data = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return data;
        }
        data.push_str(&behind[..size]);
        rest = &behind[size + 2..];
    }
}

#[tokio::test]
async fn sec_ret_03_a_small_stream_is_sent_again_from_its_beginning() {
    let bad = Origin::start(|mut conn| async move {
        conn.request().await;
    })
    .await;
    let good = Origin::naming().await;
    let mut frames: Vec<Result<_, BodyError>> =
        ["one ", "two ", "three"].iter().map(|piece| Ok(Frame::data(Bytes::from(*piece)))).collect();
    frames.push(Ok(Frame::trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "6".parse().unwrap())]))));
    let body = Body::stream(StreamBody::new(futures_util::stream::iter(frames)));
    let client = in_turn(&bad, &good);
    assert_eq!(client.send(request("PUT", "/", body)).await.unwrap().status(), 200);
    for origin in [&bad, &good] {
        let seen = origin.seen();
        assert_eq!((seen.len(), unchunked(&seen[0])), (1, "one two three".into()));
        assert!(seen[0].ends_with("0\r\nx-sum: 6\r\n\r\n"), "{}", seen[0]);
    }
}

#[tokio::test]
async fn sec_ret_03_what_was_taken_is_replayed_and_the_rest_follows() {
    let begun = Gate::default();
    let bad = Origin::start({
        let begun = begun.clone();
        move |mut conn| {
            let begun = begun.clone();
            async move {
                conn.head().await;
                conn.take("4\r\none \r\n".len()).await;
                begun.open();
                conn.reset();
            }
        }
    })
    .await;
    let good = Origin::naming().await;
    let client = in_turn(&bad, &good);
    let (frames, body) = streamed();
    let feed = async {
        frames.send(Ok(Frame::data("one ".into()))).await.unwrap();
        begun.pass().await;
        frames.send(Ok(Frame::data("two".into()))).await.unwrap();
        drop(frames);
    };
    let (answer, ()) = tokio::join!(client.send(request("PUT", "/", body)), feed);
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(unchunked(&good.seen()[0]), "one two");
}

#[tokio::test]
async fn sec_ret_03_a_stream_of_a_known_length_keeps_it() {
    let bad = Origin::start(|mut conn| async move {
        conn.request().await;
    })
    .await;
    let good = Origin::naming().await;
    let body = Body::new(http_body_util::Limited::new(http_body_util::Full::new(Bytes::from("12345")), 9));
    assert_eq!(body.as_bytes(), None);
    let client = in_turn(&bad, &good);
    assert_eq!(client.send(request("PUT", "/", body)).await.unwrap().status(), 200);
    for origin in [&bad, &good] {
        assert!(origin.seen()[0].contains("content-length: 5\r\n") && origin.seen()[0].ends_with("12345"));
    }
}

#[tokio::test]
async fn sec_ret_03_more_than_the_buffer_is_sent_once() {
    let bad = Origin::start(|mut conn| async move {
        conn.request().await;
    })
    .await;
    let good = Origin::naming().await;
    let large = || pieces(&["x".repeat(40_000).leak(), "y".repeat(40_000).leak()]);
    let error = in_turn(&bad, &good).send(request("PUT", "/", large())).await.unwrap_err();
    assert_eq!(error.reason(), "closed_before_response");
    assert_eq!((bad.seen().len(), good.seen().len()), (1, 0));
    // Of a method that is not repeated nothing is kept, however small it is.
    in_turn(&bad, &good).send(request("POST", "/", pieces(&["abc"]))).await.unwrap_err();
    assert_eq!((bad.seen().len(), good.seen().len()), (2, 0));
}

#[tokio::test]
async fn sec_ret_02_a_stream_survives_a_connection_that_closes_on_reuse() {
    let origin = Origin::start(|mut conn| async move {
        let Some(first) = conn.request().await else { return };
        conn.send(ok(&unchunked(&first))).await;
        // The next one is taken and not answered.
        conn.request().await;
    })
    .await;
    let client = Client::of(&origin);
    for _ in 0..20 {
        let answer = client.send(request("PUT", "/", pieces(&["so", "me"]))).await.unwrap();
        assert_eq!(text(answer).await.unwrap(), "some");
    }
}

#[tokio::test]
async fn a_stream_goes_on_elsewhere_when_one_attempt_takes_too_long() {
    let silent = Origin::start(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    let good = Origin::naming().await;
    let mut config = config(&[]);
    config.nodes = vec![node(silent.address).with_priority(1), node(good.address)];
    config.retry = RetryConfig { per_try: Some(Duration::from_millis(50)), ..RetryConfig::default() };
    let answer = Client::new(config).send(request("PUT", "/", pieces(&["a", "b"]))).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(unchunked(&good.seen()[0]), "ab");
}
