//! Tests of the layers as a whole.
use std::io::Write as _;

use bytes::Bytes;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::plugin::shape;
use crate::{Body, BodyError, Next, PluginLayer, Request, Response};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// The layer of a coding.
fn compress(coding: &str, block: &Value) -> Compress {
    let block = block.as_object().unwrap();
    match coding {
        "gzip" => Compress::gzip(shape("gzip", block).unwrap()),
        "br" => Compress::brotli(shape("brotli", block).unwrap()),
        _ => Compress::zstd(shape("zstd", block).unwrap()),
    }
    .unwrap()
}

fn layer(coding: &str, block: &Value) -> PluginLayer {
    CompressLayer::of(compress(coding, block)).into()
}

/// What can be read of a body that need not be whole.
fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut decoder = flate2::write::GzDecoder::new(Vec::new());
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            decoder.get_ref().clone()
        }
        "br" => {
            let mut decoder = ::brotli::DecompressorWriter::new(Vec::new(), 4096);
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            decoder.get_ref().clone()
        }
        _ => {
            let mut decoder = ::zstd::stream::write::Decoder::new(Vec::new()).unwrap();
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            decoder.get_ref().clone()
        }
    }
}

fn asking(accept: &str) -> Request {
    http::Request::builder().uri("/").header("accept-encoding", accept).body(Body::empty()).unwrap()
}

fn html() -> http::response::Builder {
    http::Response::builder().header("content-type", "text/html; charset=utf-8")
}

/// An answer of 60,000 bytes that says everything about itself.
fn page() -> Response {
    let text = "<p>hello, hello</p>".repeat(3000);
    html()
        .header("content-length", text.len())
        .header("etag", "\"1\"")
        .header("accept-ranges", "bytes")
        .header("vary", "Origin")
        .body(text.into())
        .unwrap()
}

async fn run(layer: &PluginLayer, make: impl Fn() -> Response + Send + Sync + 'static, request: Request) -> Response {
    layer.wrap(Next::from_fn(move |_| std::future::ready(make()))).run(request).await
}

fn field(response: &Response, name: &str) -> Option<String> {
    let lines: Vec<_> = response.headers().get_all(name).iter().map(|line| line.to_str().unwrap()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

async fn bytes(response: Response) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn answers_are_compressed_and_say_so() {
    for coding in CODINGS {
        let response = run(&layer(coding, &json!({})), page, asking(coding)).await;
        assert_eq!(field(&response, "content-encoding").as_deref(), Some(coding));
        assert_eq!(field(&response, "vary").as_deref(), Some("Origin, Accept-Encoding"));
        assert_eq!(field(&response, "etag").as_deref(), Some("W/\"1\""));
        assert_eq!((field(&response, "content-length"), field(&response, "accept-ranges")), (None, None));
        let body = bytes(response).await;
        assert!(body.len() < 2000, "{coding}: {} bytes", body.len());
        assert_eq!(decoded(coding, &body), bytes(page()).await);
    }
}

#[tokio::test]
async fn clients_that_do_not_accept_it_are_told_of_the_choice_alone() {
    for coding in CODINGS {
        for accept in ["", "identity", "deflate", &format!("{coding};q=0"), &format!("{coding};q=0.5, identity")] {
            let response = run(&layer(coding, &json!({})), page, asking(accept)).await;
            assert_eq!(field(&response, "vary").as_deref(), Some("Origin, Accept-Encoding"));
            assert_eq!(field(&response, "etag").as_deref(), Some("\"1\""));
            assert_eq!(bytes(response).await, bytes(page()).await, "{coding}: {accept}");
        }
    }
}

#[tokio::test]
async fn old_versions_and_untold_proxies_get_plain_answers() {
    let old = |version| {
        let mut request = asking("gzip");
        *request.version_mut() = version;
        request
    };
    let by_proxy = || {
        let mut request = asking("gzip");
        request.headers_mut().insert("via", "1.1 proxy".parse().unwrap());
        request
    };
    let no_transform = || {
        let mut request = asking("gzip");
        request.headers_mut().insert("cache-control", "no-transform".parse().unwrap());
        request
    };
    for (block, request, compressed, vary) in [
        (json!({}), old(http::Version::HTTP_10), false, true),
        (json!({}), old(http::Version::HTTP_2), true, true),
        (json!({"http_version": 1.0}), old(http::Version::HTTP_10), true, true),
        (json!({}), by_proxy(), true, true),
        (json!({"vary": false}), by_proxy(), false, false),
        (json!({"vary": false}), asking("gzip"), true, false),
        (json!({}), no_transform(), false, true),
        (json!({"types": ["text/plain"]}), asking("gzip"), false, false),
        (json!({"types": "*"}), asking("gzip"), true, true),
        (json!({"min_length": 60_000}), asking("gzip"), false, false),
    ] {
        let response = run(&layer("gzip", &block), page, request).await;
        assert_eq!(field(&response, "content-encoding").is_some(), compressed, "{block}");
        let vary = if vary { "Origin, Accept-Encoding" } else { "Origin" };
        assert_eq!(field(&response, "vary").as_deref(), Some(vary), "{block}");
    }
}

#[tokio::test]
async fn an_answer_is_compressed_once_in_what_the_client_likes_best() {
    let all = |order: [&'static str; 3], block: Value| {
        let layers = order.map(|coding| layer(coding, &block));
        PluginLayer::from_fn(move |next| layers.iter().rev().fold(next, |next, layer| layer.wrap(next)))
    };
    for order in [["gzip", "br", "zstd"], ["zstd", "br", "gzip"], ["br", "gzip", "zstd"]] {
        for (accept, best) in [
            ("gzip, br, zstd", "zstd"),
            ("gzip, br", "br"),
            ("gzip;q=0.9, br;q=0.8, *;q=0.1", "gzip"),
            ("*", "zstd"),
            ("gzip", "gzip"),
        ] {
            let response = run(&all(order, json!({})), page, asking(accept)).await;
            assert_eq!(field(&response, "content-encoding").as_deref(), Some(best), "{order:?} {accept}");
            assert_eq!(field(&response, "vary").as_deref(), Some("Origin, Accept-Encoding"));
            assert_eq!(decoded(best, &bytes(response).await), bytes(page()).await);
        }
    }
    // The outermost does not want it, one further in does.
    let (outer, inner) = (layer("br", &json!({"types": ["text/css"]})), layer("gzip", &json!({})));
    let both = PluginLayer::from_fn(move |next| outer.wrap(inner.wrap(next)));
    let response = run(&both, page, asking("br, gzip")).await;
    assert_eq!(field(&response, "content-encoding").as_deref(), Some("gzip"));
}

#[tokio::test]
async fn a_head_has_the_fields_of_the_get() {
    let head = || {
        let mut response = page();
        *response.body_mut() = Body::empty();
        response
    };
    let mut request = asking("gzip");
    *request.method_mut() = http::Method::HEAD;
    let response = run(&layer("gzip", &json!({})), head, request).await;
    assert_eq!(field(&response, "content-encoding").as_deref(), Some("gzip"));
    assert_eq!(field(&response, "etag").as_deref(), Some("W/\"1\""));
    assert!(response.body().is_empty() && field(&response, "content-length").is_none());
}

#[tokio::test]
async fn a_304_has_the_tag_of_what_the_client_has_and_what_the_200_depends_on() {
    let layer = layer("gzip", &json!({}));
    for (shown, tag, expected) in [
        (&["\"0\", W/\"1\""][..], "\"1\"", "W/\"1\""),
        (&["\"0\"", "W/\"2\",W/\"1\""], "\"1\"", "W/\"1\""),
        (&["W/\"a, b\""], "\"a, b\"", "W/\"a, b\""),
        (&["W/\"a, \"1\""], "\"1\"", "\"1\""),
        (&["\"1\""], "\"1\"", "\"1\""),
        (&["*"], "\"1\"", "\"1\""),
        (&["W/\"1\""], "W/\"1\"", "W/\"1\""),
        (&["W/\"1"], "\"1\"", "\"1\""),
    ] {
        let unmodified = move || http::Response::builder().status(304).header("etag", tag).body(Body::empty()).unwrap();
        let mut request = asking("gzip");
        for line in shown {
            request.headers_mut().append("if-none-match", line.parse().unwrap());
        }
        let response = run(&layer, unmodified, request).await;
        let told = (field(&response, "etag"), field(&response, "vary"));
        assert_eq!(told, (Some(expected.to_owned()), Some("Accept-Encoding".to_owned())), "{shown:?}");
    }
    let of = |kind: &'static str| {
        move || http::Response::builder().status(304).header("content-type", kind).body(Body::empty()).unwrap()
    };
    assert_eq!(field(&run(&layer, of("text/html"), asking("br")).await, "vary").as_deref(), Some("Accept-Encoding"));
    assert_eq!(field(&run(&layer, of("image/png"), asking("gzip")).await, "vary"), None);
}

#[tokio::test]
async fn tags_are_weak_and_what_is_no_tag_goes() {
    for (tag, weak) in [("\"a\"", Some("W/\"a\"")), ("W/\"a\"", Some("W/\"a\"")), ("a", None)] {
        let tagged = move || html().header("etag", tag).body(Body::from("x".repeat(99))).unwrap();
        let response = run(&layer("gzip", &json!({})), tagged, asking("gzip")).await;
        assert_eq!(field(&response, "etag").as_deref(), weak, "{tag}");
    }
    let starred = || html().header("vary", "*").body(Body::from("x".repeat(99))).unwrap();
    assert_eq!(field(&run(&layer("gzip", &json!({})), starred, asking("gzip")).await, "vary").as_deref(), Some("*"));
}

/// A body that a test feeds.
fn fed() -> (mpsc::UnboundedSender<Result<Frame<Bytes>, BodyError>>, Body) {
    let (feed, mut fed) = mpsc::unbounded_channel();
    let frames = futures_util::stream::poll_fn(move |cx| fed.poll_recv(cx));
    (feed, Body::stream(StreamBody::new(frames)))
}

#[tokio::test]
async fn what_the_upstream_sent_is_out_when_it_pauses() {
    for coding in CODINGS {
        let (feed, body) = fed();
        let body = std::sync::Mutex::new(Some(body));
        let stream = move || html().body(body.lock().unwrap().take().unwrap()).unwrap();
        let mut body = run(&layer(coding, &json!({})), stream, asking(coding)).await.into_body();
        let (mut sent, mut received) = (String::new(), Vec::new());
        for event in 0..20 {
            let event = format!("data: event {event}\n\n");
            feed.send(Ok(Frame::data(event.clone().into()))).unwrap();
            sent.push_str(&event);
            while decoded(coding, &received) != sent.as_bytes() {
                received.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
            }
            assert!(futures_util::poll!(std::pin::pin!(body.frame())).is_pending(), "{coding}: nothing more to say");
        }
        let trailers = http::HeaderMap::from_iter([(http::header::ETAG, "t".parse().unwrap())]);
        feed.send(Ok(Frame::trailers(trailers))).unwrap();
        drop(feed);
        let rest = body.collect().await.unwrap();
        assert!(rest.trailers().is_some(), "{coding}");
        received.extend_from_slice(&rest.to_bytes());
        assert_eq!(decoded(coding, &received), sent.as_bytes());
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_whole() {
    for coding in CODINGS {
        let (feed, body) = fed();
        feed.send(Ok(Frame::data("a".repeat(50_000).into()))).unwrap();
        feed.send(Err(BodyError::Incomplete)).unwrap();
        let body = std::sync::Mutex::new(Some(body));
        let stream = move || html().body(body.lock().unwrap().take().unwrap()).unwrap();
        let response = run(&layer(coding, &json!({})), stream, asking(coding)).await;
        assert!(matches!(response.into_body().collect().await, Err(BodyError::Incomplete)), "{coding}");
    }
}

/// An encoder that notes the threads that it works on.
#[derive(Debug)]
struct Noting {
    is_slow: bool,
    threads: Threads,
}

type Threads = std::sync::Arc<std::sync::Mutex<std::collections::HashSet<std::thread::ThreadId>>>;

struct NotingEncoder(compression_codecs::GzipEncoder, Threads);

impl NotingEncoder {
    fn note(&mut self) -> &mut compression_codecs::GzipEncoder {
        self.1.lock().unwrap().insert(std::thread::current().id());
        &mut self.0
    }
}

impl compression_codecs::EncodeV2 for NotingEncoder {
    fn encode(&mut self, text: &mut PartialBuffer<&[u8]>, room: &mut WriteBuffer<'_>) -> std::io::Result<()> {
        self.note().encode(text, room)
    }

    fn flush(&mut self, room: &mut WriteBuffer<'_>) -> std::io::Result<bool> {
        self.note().flush(room)
    }

    fn finish(&mut self, room: &mut WriteBuffer<'_>) -> std::io::Result<bool> {
        self.note().finish(room)
    }
}

impl Coding for Noting {
    fn kind(&self) -> Kind {
        Kind::Gzip
    }

    fn cost(&self, _: Option<u64>) -> u64 {
        1
    }

    fn is_slow(&self) -> bool {
        self.is_slow
    }

    fn begin(&self, _: Option<u64>) -> Box<dyn Encode> {
        let encoder = compression_codecs::GzipEncoder::new(compression_codecs::core::Level::Fastest.into());
        Box::new(NotingEncoder(encoder, self.threads.clone()))
    }
}

#[tokio::test]
async fn what_is_slow_works_on_no_thread_that_serves() {
    let text = "a text of some length. ".repeat(10_000);
    for is_slow in [false, true] {
        let threads = Threads::default();
        let rules = Written { types: Types::default(), min_length: 20, http_version: 1.1, vary: true };
        let memory = Memory::default();
        let coding = Noting { is_slow, threads: threads.clone() };
        let layer = CompressLayer::of(Compress::new("test", coding, rules).unwrap().within(memory.clone()));
        let body = text.clone();
        let make = move || html().body(Body::from(body.clone())).unwrap();
        let body = run(&layer.into(), make, asking("gzip")).await.into_body();
        let received = body.collect().await.unwrap().to_bytes();
        assert_eq!(decoded("gzip", &received), text.as_bytes());
        assert_eq!(threads.lock().unwrap().contains(&std::thread::current().id()), !is_slow);
        assert_eq!(memory.taken(), 0);
    }
}

#[tokio::test]
async fn pieces_are_bounded_whatever_comes() {
    // Random text does not become shorter.
    let noise: Vec<u8> = (0_u64..4 << 20).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    for coding in CODINGS {
        let body = noise.clone();
        let make = move || html().body(Body::from(body.clone())).unwrap();
        let mut body = run(&layer(coding, &json!({"types": "*"})), make, asking(coding)).await.into_body();
        let mut received = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= 16 * 1024, "{coding}: a piece of {} bytes", piece.len());
            received.extend_from_slice(&piece);
        }
        assert_eq!(decoded(coding, &received).len(), noise.len());
    }
}

#[tokio::test]
async fn a_body_at_hand_leaves_others_their_turn() {
    for coding in CODINGS {
        let spaces = || html().body(Body::from(vec![b' '; 8 << 20])).unwrap();
        let mut body = run(&layer(coding, &json!({})), spaces, asking(coding)).await.into_body();
        let mut turns = 0;
        let mut received = Vec::new();
        loop {
            match futures_util::poll!(std::pin::pin!(body.frame())) {
                std::task::Poll::Pending => turns += 1,
                std::task::Poll::Ready(None) => break,
                std::task::Poll::Ready(Some(frame)) => received.extend_from_slice(&frame.unwrap().into_data().unwrap()),
            }
        }
        assert!(turns > 30, "{coding}: {turns} turns");
        assert_eq!(decoded(coding, &received).len(), 8 << 20);
    }
}

#[tokio::test]
async fn sec_ovl_04_encoders_of_clients_that_do_not_read_are_bounded() {
    let memory = Memory::new(31 << 20);
    let all = ["gzip", "br", "zstd"]
        .map(|coding| PluginLayer::from(CompressLayer::of(compress(coding, &json!({})).within(memory.clone()))));
    let layers = PluginLayer::from_fn(move |next| all.iter().fold(next, |next, layer| layer.wrap(next)));
    let mut feeds = Vec::new();
    let mut held = Vec::new();
    for _ in 0..200 {
        let (feed, body) = fed();
        feeds.push(feed);
        let body = std::sync::Mutex::new(Some(body));
        let stream = move || html().body(body.lock().unwrap().take().unwrap()).unwrap();
        let response = run(&layers, stream, asking("zstd, br, gzip")).await;
        assert_eq!(field(&response, "vary").as_deref(), Some("Accept-Encoding"), "whatever becomes of it");
        held.push(response);
    }
    assert!(memory.taken() <= 31 << 20 && memory.refused() > 100, "{memory:?}");
    let of = |coding: Option<&str>| {
        held.iter().filter(|response| field(response, "content-encoding").as_deref() == coding).count()
    };
    assert!(of(Some("zstd")) > 5 && of(Some("gzip")) > 0 && of(None) > 50, "the best one first, then what still fits");
    drop((held, feeds));
    assert_eq!(memory.taken(), 0);
}

#[test]
fn what_encoders_may_take_follows_settings_and_length() {
    let cost = |coding: &str, block: &Value, length: Option<u64>| {
        let memory = Memory::default();
        let begun = compress(coding, block).within(memory.clone()).begin(length);
        assert!(begun.is_some());
        memory.taken() / 1024
    };
    for (coding, block, length, kib) in [
        ("gzip", json!({"comp_level": 9}), None, 400),
        ("br", json!({}), None, 7 * 1024),
        ("br", json!({}), Some(20_000), 5 * 1024 + 512),
        ("br", json!({"comp_level": 1}), None, 3 * 1024),
        ("br", json!({"lgwin": 16}), None, 34 * 1024 + 256),
        ("zstd", json!({}), None, 2 * 1024 + 512),
        ("zstd", json!({}), Some(20_000), 2 * 1024 + 32),
    ] {
        assert_eq!(cost(coding, &block, length), kib, "{coding} {block} {length:?}");
    }
}

#[test]
fn faults_name_their_field() {
    let fault = |coding: &str, block: Value| {
        let block = block.as_object().unwrap();
        match coding {
            "gzip" => Compress::gzip(shape("gzip", block).unwrap()),
            "br" => Compress::brotli(shape("brotli", block).unwrap()),
            _ => Compress::zstd(shape("zstd", block).unwrap()),
        }
        .unwrap_err()
        .field()
        .to_owned()
    };
    for (coding, block, field) in [
        ("gzip", json!({"comp_level": 0}), "comp_level"),
        ("gzip", json!({"comp_level": 10}), "comp_level"),
        ("gzip", json!({"buffers": {"number": 0}}), "buffers"),
        ("gzip", json!({"types": []}), "types"),
        ("gzip", json!({"http_version": 2}), "http_version"),
        ("br", json!({"comp_level": 12}), "comp_level"),
        ("br", json!({"mode": 3}), "mode"),
        ("br", json!({"lgwin": 9}), "lgwin"),
        ("br", json!({"lgwin": 25}), "lgwin"),
        ("br", json!({"lgblock": 15}), "lgblock"),
        ("zstd", json!({"comp_level": 0}), "comp_level"),
        ("zstd", json!({"comp_level": 20}), "comp_level"),
        ("zstd", json!({"window_log": 24}), "window_log"),
    ] {
        assert_eq!(fault(coding, block.clone()), field, "{coding} {block}");
    }
}

#[tokio::test]
async fn every_setting_makes_a_body_that_can_be_read() {
    let blocks = (1..=9).map(|level| ("gzip", json!({"comp_level": level})));
    let blocks = blocks.chain((0..=11).map(|level| ("br", json!({"comp_level": level, "lgwin": 10 + level}))));
    let blocks = blocks.chain((0..=2).map(|mode| ("br", json!({"mode": mode, "lgwin": 0, "lgblock": 16 + mode}))));
    let blocks =
        blocks.chain((1..=19).map(|level| ("zstd", json!({"comp_level": level, "window_log": 10 + level % 14}))));
    for (coding, block) in blocks {
        let body = bytes(run(&layer(coding, &block), page, asking(coding)).await).await;
        assert_eq!(decoded(coding, &body), bytes(page()).await, "{coding} {block}");
    }
}
