use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};

use super::*;
use crate::error::{Error, IntoResponse as _};
use crate::plugin::{AroundLayer, Plugin as _, shape};
use crate::plugins::cors::{Cors, CorsConfig};
use crate::service::wire;
use crate::{Body, BodyError, Next, PluginLayer, Request, Response, reject};

fn layer(block: Value) -> PluginLayer {
    AroundLayer::of(GrpcWeb::new(shape(GrpcWebPlugin::NAME, block.as_object().unwrap()).unwrap()).unwrap()).into()
}

fn message(text: &str) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((text.len() as u32).to_be_bytes());
    frame.extend(text.bytes());
    frame
}

fn trailers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::data(bytes.into()))
}

fn stream(frames: Vec<Result<Frame<Bytes>, BodyError>>) -> Body {
    Body::stream(StreamBody::new(futures_util::stream::iter(frames)))
}

fn field<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

fn grpc(body: Body) -> Response {
    http::Response::builder().header("content-type", "application/grpc+proto").body(body).unwrap()
}

fn post(content_type: &str, body: impl Into<Body>) -> Request {
    let request = http::Request::builder().method("POST").uri("/test.Echo/Unary").header("content-length", "99");
    request.header("content-type", content_type).body(body.into()).unwrap()
}

/// A service that says `frames` whatever it is asked.
fn saying(frames: impl Fn() -> Vec<Result<Frame<Bytes>, BodyError>> + Send + Sync + 'static) -> Next {
    Next::from_fn(move |_| std::future::ready(grpc(stream(frames()))))
}

#[tokio::test]
async fn what_is_no_call_is_answered_at_once() {
    let never = || Next::from_fn(|_| async { panic!("called") });
    let request = |method: &str, content_type: Option<&str>| {
        let request = http::Request::builder().method(method);
        let request = content_type.into_iter().fold(request, |request, kind| request.header("content-type", kind));
        request.body(Body::empty()).unwrap()
    };
    for (method, content_type, status) in [
        ("OPTIONS", None, 204),
        ("OPTIONS", Some("application/grpc-web"), 204),
        ("GET", Some("application/grpc-web"), 405),
        ("PUT", None, 405),
        ("POST", None, 400),
        ("POST", Some("application/grpc"), 400),
        ("POST", Some("application/grpc-web+json"), 400),
        ("POST", Some("application/grpc-webby"), 400),
        ("POST", Some("text/plain"), 400),
    ] {
        let response = layer(json!({})).wrap(never()).run(request(method, content_type)).await;
        assert_eq!(response.status(), status, "{method} {content_type:?}");
        assert!(response.body().is_empty());
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["access-control-expose-headers"], "grpc-message,grpc-status");
        assert_eq!(response.headers().contains_key("access-control-allow-methods"), method == "OPTIONS");
        assert_eq!(response.headers().contains_key("allow"), status == 405);
    }
    let block = json!({"cors_allow_headers": "x-a"});
    let preflight = layer(block).wrap(never()).run(request("OPTIONS", None)).await;
    assert_eq!(preflight.headers()["access-control-allow-methods"], "POST");
    assert_eq!(preflight.headers()["access-control-allow-headers"], "x-a");
}

#[tokio::test]
async fn a_call_goes_on_as_grpc_and_comes_back_as_it_was_asked() {
    let told = || trailers(&[("x-own", "1"), ("grpc-message", "a%20b"), ("grpc-status", "0")]);
    let frame = b"\x80\0\0\0\x2cgrpc-status:0\r\ngrpc-message:a%20b\r\nx-own:1\r\n";
    for (content_type, is_text) in [
        ("application/grpc-web", false),
        ("application/grpc-web+proto", false),
        ("Application/GRPC-Web+proto; charset=utf-8", false),
        ("application/grpc-web-text", true),
        ("application/grpc-web-text+proto", true),
    ] {
        let seen = Arc::<Mutex<Option<Request>>>::default();
        let kept = Arc::clone(&seen);
        let echo = Next::from_fn(move |request: Request| {
            let kept = Arc::clone(&kept);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.buffer(99).await.unwrap();
                *kept.lock().unwrap() = Some(Request::from_parts(parts, Body::from(body.clone())));
                grpc(stream(vec![data(body.slice(..7)), data(body.slice(7..)), Ok(Frame::trailers(told()))]))
            }
        });
        let sent = message("hello");
        let sent = if is_text { STANDARD.encode(sent).into_bytes() } else { sent };
        let response = layer(json!({})).wrap(echo).run(post(content_type, sent)).await;
        assert_eq!((response.status().as_u16(), field(&response, "content-type")), (200, content_type));
        let seen = seen.lock().unwrap().take().unwrap();
        assert_eq!(
            (seen.version(), seen.headers()["content-type"].as_bytes()),
            (Version::HTTP_2, &b"application/grpc"[..])
        );
        assert!(!seen.headers().contains_key("content-length"));
        assert_eq!(seen.body().as_bytes(), Some(&*message("hello")));
        let whole = response.into_body().collect().await.unwrap();
        assert!(whole.trailers().is_none());
        let wanted = message("hello");
        let wanted = match is_text {
            true => [&wanted[..7], &wanted[7..], frame].map(|part| STANDARD.encode(part)).concat().into_bytes(),
            false => [&wanted, &frame[..]].concat(),
        };
        assert_eq!(whole.to_bytes(), wanted, "{content_type}");
    }
}

#[tokio::test]
async fn each_piece_comes_out_before_the_next_one_is_there() {
    let (frames, mut source) = tokio::sync::mpsc::channel(1);
    let source =
        Mutex::new(Some(Body::stream(StreamBody::new(futures_util::stream::poll_fn(move |cx| source.poll_recv(cx))))));
    let end = Next::from_fn(move |_| std::future::ready(grpc(source.lock().unwrap().take().unwrap())));
    let mut body = layer(json!({})).wrap(end).run(post("application/grpc-web-text", "")).await.into_body();
    for piece in [&b"\0"[..], b"\0\0\0\x02a", b"b"] {
        frames.send(data(piece)).await.unwrap();
        let sent = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(sent, STANDARD.encode(piece));
    }
    frames.send(Ok(Frame::trailers(trailers(&[("grpc-status", "0")])))).await.unwrap();
    let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(STANDARD.decode(last).unwrap(), b"\x80\0\0\0\x0fgrpc-status:0\r\n");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_status_in_the_head_needs_no_frame() {
    let end = Next::from_fn(|_| async {
        let mut response = grpc(Body::empty());
        response.headers_mut().insert("grpc-status", "5".parse().unwrap());
        response.headers_mut().insert("content-length", "0".parse().unwrap());
        response
    });
    let response = layer(json!({})).wrap(end).run(post("application/grpc-web", message(""))).await;
    assert_eq!((response.status().as_u16(), field(&response, "grpc-status")), (200, "5"));
    assert_eq!(response.headers()["content-type"], "application/grpc-web");
    assert!(response.body().is_empty() && !response.headers().contains_key("content-length"));
}

#[tokio::test]
async fn a_service_without_a_last_word_counts_as_unknown() {
    let no_status = || vec![data(message("a")), Ok(Frame::trailers(trailers(&[("x-own", "1")])))];
    for (end, own) in [(saying(|| vec![data(message("a"))]), ""), (saying(no_status), "x-own:1\r\n")] {
        let response = layer(json!({})).wrap(end).run(post("application/grpc-web", message(""))).await;
        let body = response.into_body().buffer(999).await.unwrap();
        let lines = format!("grpc-status:2\r\ngrpc-message:upstream grpc status not received\r\n{own}");
        let mut frame = vec![0x80];
        frame.extend((lines.len() as u32).to_be_bytes());
        assert_eq!(body, [message("a"), frame, lines.into_bytes()].concat());
    }
}

#[tokio::test]
async fn what_is_no_grpc_becomes_a_status() {
    let page = |status: u16, kind: &'static str| {
        move |_| {
            let response = http::Response::builder().status(status).header("content-type", kind);
            std::future::ready(response.body(Body::from("<html>")).unwrap())
        }
    };
    for (end, status, says) in [
        (Next::from_fn(page(200, "text/html")), "2", "upstream answered 200 and no gRPC"),
        (Next::from_fn(page(404, "text/html")), "12", "upstream answered 404 and no gRPC"),
        (Next::from_fn(page(503, "application/grpc")), "14", "upstream answered 503 and no gRPC"),
        (Next::from_fn(|_| async { reject(StatusCode::FORBIDDEN, "acl", "no: 50 %") }), "7", "no: 50 %25"),
        (
            Next::from_fn(|_| async {
                let (status, reason) = (StatusCode::GATEWAY_TIMEOUT, "upstream_deadline");
                Error::Upstream { status, reason, retry_after: None }.into_response()
            }),
            "4",
            "504 Gateway Timeout",
        ),
    ] {
        let response = layer(json!({})).wrap(end).run(post("application/grpc-web-text", "")).await;
        // No form of errors takes its place further out.
        let response = crate::error::into_problem(response);
        assert_eq!((response.status().as_u16(), field(&response, "grpc-status")), (200, status));
        assert_eq!(response.headers()["grpc-message"], says);
        assert_eq!(response.headers()["content-type"], "application/grpc-web-text");
        assert!(response.body().is_empty());
    }
    let too_large = Next::from_fn(|_| async { Error::BodyTooLarge.into_response() });
    let response = layer(json!({})).wrap(too_large).run(post("application/grpc-web", "")).await;
    assert_eq!(response.status(), 413);
}

/// Reads the whole body of a call, as a service does.
async fn sent(block: Value, content_type: &str, pieces: Vec<Vec<u8>>) -> Result<Bytes, String> {
    let told = Arc::<Mutex<Option<Result<Bytes, String>>>>::default();
    let kept = Arc::clone(&told);
    let read = Next::from_fn(move |request: Request| {
        let kept = Arc::clone(&kept);
        async move {
            let body = request.into_body().buffer(1 << 20).await;
            *kept.lock().unwrap() = Some(body.map_err(|error| error.to_string()));
            Response::default()
        }
    });
    let body = stream(pieces.into_iter().map(data).collect());
    let response = layer(block).wrap(read).run(post(content_type, body)).await;
    let told = told.lock().unwrap().take();
    told.unwrap_or_else(|| Err(response.status().to_string()))
}

#[tokio::test]
async fn requests_that_are_no_whole_messages_fail() {
    let two = [message("ab"), message("c")].concat();
    let text = |bytes: &[u8]| STANDARD.encode(bytes).into_bytes();
    let small = || json!({"max_req_body_size": 13});
    let (web, web_text) = ("application/grpc-web", "application/grpc-web-text");
    for (block, kind, pieces, told) in [
        (small(), web, vec![two.clone()], Ok(&two[..])),
        (small(), web, two.chunks(1).map(<[u8]>::to_vec).collect(), Ok(&two)),
        (json!({}), web_text, vec![text(&two[..7]), text(&two[7..])], Ok(&two)),
        (json!({}), web_text, text(&two).chunks(3).map(<[u8]>::to_vec).collect(), Ok(&two)),
        (json!({}), web, vec![], Ok(&[])),
        (json!({}), web, vec![two[..12].to_vec()], Err("malformed body: ends inside of a message")),
        (json!({}), web, vec![two[..3].to_vec()], Err("malformed body: ends inside of a message")),
        (json!({}), web, vec![b"\x80\0\0\0\0".to_vec()], Err("malformed body: no frame of a message")),
        (json!({}), web, vec![b"{\"a\":1}".to_vec()], Err("malformed body: no frame of a message")),
        (json!({}), web_text, vec![text(&two)[..10].to_vec()], Err("malformed body: ends inside of a message")),
        (json!({}), web_text, vec![b"!!!!".to_vec()], Err("malformed body: no base64")),
        (small(), web, vec![two.clone(), message("")], Err("body is longer than 13 bytes")),
        (small(), web, vec![b"\0\0\0\0\x0e".to_vec()], Err("body is longer than 13 bytes")),
    ] {
        let read = sent(block, kind, pieces.clone()).await;
        assert_eq!(read.as_deref().map_err(|error| &**error), told, "{kind} {pieces:?}");
    }
}

#[tokio::test]
async fn what_announces_too_much_is_not_begun() {
    let never = Next::from_fn(|_| async { panic!("called") });
    let request = post("application/grpc-web", message("0123456789"));
    let response = layer(json!({"max_req_body_size": 14})).wrap(never).run(request).await;
    assert_eq!((response.status().as_u16(), response.body().is_empty()), (413, true));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut() {
    let status = || Ok(Frame::trailers(trailers(&[("grpc-status", "0")])));
    for (end, frames) in [
        (saying(|| vec![data(message("a")), Err(BodyError::Incomplete)]), 1),
        (saying(|| vec![data(&b"\0\0\0\0\x09abc"[..])]), 1),
        (saying(move || vec![data(&b"\0\0\0\0\x09abc"[..]), status()]), 1),
        (saying(|| vec![data(&b"\x80\0\0\0\0"[..])]), 0),
    ] {
        let mut body = layer(json!({})).wrap(end).run(post("application/grpc-web", "")).await.into_body();
        for _ in 0..frames {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn where_cors_decides_this_does_not() {
    let allow_origins = "https://a.test,https://b.test".to_owned();
    let config = CorsConfig { allow_origins, ..CorsConfig::default() };
    let cors = PluginLayer::from(AroundLayer::of(Cors::new(config).unwrap()));
    let layers = [cors, layer(json!({}))];
    for (origin, told) in [("https://b.test", Some("https://b.test")), ("https://evil.test", None)] {
        let mut request = post("application/grpc-web", "");
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let response = wire(layers.iter(), saying(Vec::new)).run(request).await;
        let allowed = response.headers().get("access-control-allow-origin").map(|allowed| allowed.to_str().unwrap());
        assert_eq!(allowed, told, "{origin}");
        assert!(response.headers().contains_key("access-control-expose-headers"));
    }
}

#[test]
fn faults_name_their_field() {
    for (block, field, says) in [
        (json!({"max_req_body_size": 0}), "max_req_body_size", "at least 1"),
        (json!({"cors_allow_headers": "a\n"}), "cors_allow_headers", "no field value"),
        (json!({"allow": 1}), "allow", "unknown field"),
    ] {
        let shaped = shape(GrpcWebPlugin::NAME, block.as_object().unwrap());
        let error = shaped.and_then(GrpcWeb::new).unwrap_err();
        assert_eq!(error.field(), field);
        assert!(error.to_string().contains(says), "{error}");
    }
}
