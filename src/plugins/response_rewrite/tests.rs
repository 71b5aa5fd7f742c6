//! Tests of the layer as a whole.
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};

use super::*;
use crate::error::IntoResponse as _;
use crate::plugin::{AroundLayer, ConfigError, Plugin as _, shape};
use crate::{Body, BodyError, Error, Next, PluginLayer, Request, Response, into_problem, reject};

fn rewrite(block: &Value) -> Result<ResponseRewrite, ConfigError> {
    ResponseRewrite::new(shape(ResponseRewritePlugin::NAME, block.as_object().unwrap())?)
}

/// What becomes of an answer to `GET /a?b=c`.
async fn rewritten(block: Value, make: impl Fn() -> Response + Send + Sync + 'static) -> Response {
    let layer = AroundLayer::of(rewrite(&block).unwrap());
    let end = Next::from_fn(move |_| std::future::ready(make()));
    let request: Request = http::Request::builder().uri("/a?b=c").body(Body::empty()).unwrap();
    PluginLayer::from(layer).wrap(end).run(request).await
}

/// An answer with fields that tell of its body.
fn told(body: impl Into<Body>) -> Response {
    http::Response::builder()
        .status(201)
        .header("content-length", "9")
        .header("content-encoding", "identity")
        .header("etag", "\"1\"")
        .header("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")
        .header("x-a", "1")
        .body(body.into())
        .unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

const TELLING: [&str; 4] = ["content-length", "content-encoding", "etag", "last-modified"];

#[tokio::test]
async fn conditions_see_the_answer_and_the_request() {
    for (vars, acts) in [
        (json!([]), true),
        (json!([["status", "==", 201]]), true),
        (json!([["status", "==", "201"]]), true),
        (json!([["status", ">=", 500]]), false),
        (json!([["sent_http_x_a", "==", "1"], ["arg_b", "==", "c"]]), true),
        (json!([["sent_http_x_none", "==", null]]), true),
        (json!([["uri", "==", "/a"]]), true),
        (json!([["request_method", "==", "POST"]]), false),
        // No gateway around: no upstream is known.
        (json!([["upstream_status", "==", "201"]]), false),
    ] {
        let block = json!({"vars": vars, "status_code": 299, "body": "new", "headers": {"x-a": "2"}});
        let response = rewritten(block, || told("old")).await;
        let got = (response.status().as_u16(), response.headers()["x-a"].to_str().unwrap().to_owned());
        assert_eq!(got, if acts { (299, "2".to_owned()) } else { (201, "1".to_owned()) }, "{vars}");
        assert_eq!(response.headers().contains_key("etag"), !acts, "{vars}");
        assert_eq!(text(response).await, if acts { "new" } else { "old" }, "{vars}");
    }
}

#[tokio::test]
async fn bodies_and_what_tells_of_them() {
    for (block, body, told_of) in [
        (json!({}), "old $uri", true),
        (json!({"status_code": 200, "headers": {"x-b": "1"}}), "old $uri", true),
        (json!({"body": "new $uri"}), "new $uri", false),
        (json!({"body": ""}), "", false),
        (json!({"body": "bmV3", "body_base64": true}), "new", false),
        (json!({"filters": [{"regex": "o", "replace": "<$0>"}]}), "<o>ld $uri", false),
        (json!({"filters": [{"regex": "x", "replace": "y"}]}), "old $uri", false),
        (json!({"filters": [{"regex": "[lu]", "replace": "", "scope": "global"}]}), "od $ri", false),
        (
            json!({"filters": [
                {"regex": "OLD", "replace": "new", "options": "i"}, {"regex": "(n)(e)", "replace": "$2$1"},
            ]}),
            "enw $uri",
            false,
        ),
        (json!({"filters": [{"regex": "l", "replace": "-"}], "max_resp_body_size": 3}), "o-d", false),
    ] {
        let response = rewritten(block.clone(), || told("old $uri")).await;
        for name in TELLING {
            assert_eq!(response.headers().contains_key(name), told_of, "{block}: {name}");
        }
        assert_eq!(text(response).await, body, "{block}");
    }
}

#[tokio::test]
async fn fields_are_added_set_and_removed() {
    let block = json!({"headers": {
        "add": ["X-A: 2", "Link: <https://$host:8080/>; rel=x", "x-none: $arg_none"],
        "set": {"x-status": "$status", "x-arg": "${arg_b}", "x-sent": "$sent_http_x_a", "etag": ""},
        "remove": ["last-modified"],
    }});
    let response = rewritten(block, || told("")).await;
    let field = |name: &str| {
        let lines = response.headers().get_all(name).iter();
        lines.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join("|")
    };
    let names = ["x-a", "link", "x-none", "x-status", "x-arg", "x-sent", "etag", "last-modified"];
    assert_eq!(names.map(field), ["1|2", "<https://:8080/>; rel=x", "", "201", "c", "1", "", ""]);
}

#[tokio::test]
async fn answers_of_the_gateways_own_are_rewritten_and_stay_so() {
    let block = || json!({"body": "sorry", "headers": {"content-type": "text/plain"}});
    for make in [|| reject(http::StatusCode::FORBIDDEN, "test", "no"), || Error::NoRoute.into_response()] {
        // `errors: problem` is applied outside of every layer.
        let response = into_problem(rewritten(block(), make).await);
        assert!(response.status().is_client_error());
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(text(response).await, "sorry");
    }
    let kept = into_problem(rewritten(json!({"headers": {"x-a": "1"}}), || Error::NoRoute.into_response()).await);
    assert_eq!(kept.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_switch_of_protocols_passes() {
    let switch = || http::Response::builder().status(101).body(Body::empty()).unwrap();
    let response = rewritten(json!({"status_code": 200, "body": "x", "headers": {"x-a": "1"}}), switch).await;
    assert_eq!(response.status(), 101);
    assert!(response.headers().is_empty());
}

/// A body in so many frames, with trailers if need be, and broken if need be.
fn stream(frames: Vec<Result<Frame<Bytes>, BodyError>>) -> Body {
    Body::stream(StreamBody::new(futures_util::stream::iter(frames)))
}

fn data(data: &[u8]) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::data(Bytes::copy_from_slice(data)))
}

#[tokio::test]
async fn trailers_pass_filters() {
    let make = || {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        Response::new(stream(vec![data(b"ab"), data(b"ba"), Ok(Frame::trailers(trailers))]))
    };
    let block = json!({"filters": [{"regex": "bb", "replace": "-"}]});
    let body = rewritten(block, make).await.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "1");
    assert_eq!(body.to_bytes(), "a-a");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_bad_gateway() {
    let make = || Response::new(stream(vec![data(b"ab"), Err(BodyError::Incomplete)]));
    let response = rewritten(json!({"filters": [{"regex": "a", "replace": ""}]}), make).await;
    assert_eq!(response.status(), 502);
    assert_eq!(text(response).await, "{\"error_msg\":\"502 Bad Gateway\"}\n");
}

fn coded(coding: &'static str, body: Body) -> Response {
    http::Response::builder().header("content-encoding", coding).header("etag", "\"1\"").body(body).unwrap()
}

#[tokio::test]
async fn an_unknown_coding_is_left_alone() {
    for coding in ["zstd", "gzip, br", "deflate"] {
        let block = json!({"filters": [{"regex": "a", "replace": "b"}], "headers": {"x-a": "1"}});
        let response = rewritten(block, move || coded(coding, Body::from("aaa"))).await;
        assert_eq!(response.headers()["content-encoding"], coding);
        assert!(response.headers().contains_key("etag") && response.headers().contains_key("x-a"));
        assert_eq!(text(response).await, "aaa");
    }
}

#[cfg(feature = "decode")]
mod decoding {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// A text in br: one metablock of raw bytes and the end (RFC 7932 §9.2).
    fn brotli(text: &[u8]) -> Vec<u8> {
        assert!((1..=1 << 16).contains(&text.len()));
        // WBITS 16 (bit 0), ISLAST 0, MNIBBLES 4 (00), MLEN - 1 in 16 bits, ISUNCOMPRESSED 1, padded to whole bytes.
        let header: u32 = ((text.len() as u32 - 1) << 4) | (1 << 20);
        let mut out = header.to_le_bytes()[..3].to_vec();
        out.extend_from_slice(text);
        // ISLAST 1, ISLASTEMPTY 1.
        out.push(3);
        out
    }

    /// In frames of three bytes, as a slow upstream sends it.
    fn pieces(coded: &[u8]) -> Body {
        stream(coded.chunks(3).map(data).collect())
    }

    #[tokio::test]
    async fn gzip_and_br_are_decoded() {
        let many = [gzip(b"hello, "), gzip(b"hello")].concat();
        for (coding, coded_text) in [
            ("gzip", gzip(b"hello, hello")),
            ("X-GZIP", gzip(b"hello, hello")),
            ("gzip", many),
            ("br", brotli(b"hello, hello")),
        ] {
            let block = json!({"filters": [{"regex": "hello", "replace": "bye", "scope": "global"}]});
            let response = rewritten(block, move || coded(coding, pieces(&coded_text))).await;
            assert!(!response.headers().contains_key("content-encoding") && !response.headers().contains_key("etag"));
            assert_eq!(text(response).await, "bye, bye", "{coding}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_a_body_tells_of_none() {
        let block = json!({"filters": [{"regex": "a", "replace": "b"}]});
        let response = rewritten(block, || coded("gzip", Body::empty())).await;
        assert!(response.headers().is_empty() && response.body().is_empty());
    }

    #[tokio::test]
    async fn what_does_not_decode_is_left_alone() {
        let whole = gzip(b"hello, hello");
        let short = whole[..whole.len() - 9].to_vec();
        for (coding, body) in [("gzip", b"plain text".to_vec()), ("br", b"plain text".to_vec()), ("gzip", short)] {
            let block = json!({"filters": [{"regex": "l", "replace": "-"}]});
            let sent = body.clone();
            let response = rewritten(block, move || coded(coding, pieces(&sent))).await;
            assert_eq!(response.headers()["content-encoding"], coding);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body, "{coding}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_a_body_loses_what_told_of_the_old_one() {
        for coding in ["gzip", "br"] {
            let block = json!({"filters": [{"regex": "l", "replace": "-"}]});
            let response = rewritten(block, move || coded(coding, Body::empty())).await;
            assert!(TELLING.iter().all(|name| !response.headers().contains_key(*name)), "{coding}");
            assert_eq!(text(response).await, "");
        }
    }

    #[tokio::test]
    async fn what_decodes_to_nothing_is_not_held_for_ever() {
        let empty = gzip(b"").repeat(10_000);
        assert!(empty.len() > 100_000);
        let sent = empty.clone();
        let block = json!({"filters": [{"regex": "a", "replace": "b"}], "max_resp_body_size": 10});
        let body = move || stream(sent.chunks(1000).map(data).collect());
        let response = rewritten(block, move || coded("gzip", body())).await;
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), empty);
    }

    #[tokio::test]
    async fn a_bomb_is_cut_off() {
        let bomb = gzip(&vec![b'a'; 50_000_000]);
        assert!(bomb.len() < 100_000);
        let block = json!({"filters": [{"regex": "^a", "replace": "b"}], "max_resp_body_size": 100_000});
        let response = rewritten(block, move || coded("gzip", Body::from(bomb.clone()))).await;
        let body = text(response).await;
        assert_eq!((body.len(), &body[..2]), (100_000, "ba"));
    }
}

#[tokio::test]
async fn a_part_is_no_way_around_a_filter() {
    for (block, answer) in [
        (json!({"filters": [{"regex": "secret", "replace": "hidden"}]}), "hidden"),
        (json!({"body": "new"}), "new"),
        (json!({"headers": {"set": {"x-a": "1"}}}), "sec"),
    ] {
        let end = Next::from_fn(|request: Request| async move {
            Response::new(Body::from(if request.headers().contains_key("range") { "sec" } else { "secret" }))
        });
        let request = http::Request::get("/").header("range", "bytes=0-2").body(Body::empty()).unwrap();
        let layer = PluginLayer::from(AroundLayer::of(rewrite(&block).unwrap()));
        assert_eq!(text(layer.wrap(end).run(request).await).await, answer, "{block}");
    }
}

#[tokio::test]
async fn large_bodies_are_filtered_as_well() {
    let make = || Response::new(Body::from("ab".repeat(300_000)));
    let block = json!({"filters": [{"regex": "b", "replace": "", "scope": "global"}]});
    assert_eq!(text(rewritten(block, make).await).await, "a".repeat(300_000));
}

#[test]
fn faults_name_their_field() {
    for (block, field, says) in [
        (json!({"status_code": 199}), "status_code", "200 to 598"),
        (json!({"status_code": 599}), "status_code", "200 to 598"),
        (json!({"body": "", "filters": [{"regex": "a", "replace": ""}]}), "", "either `body` or `filters`"),
        (json!({"body": "bm", "body_base64": true}), "body", "invalid base64 content"),
        (json!({"filters": []}), "filters", "at least one"),
        (json!({"filters": [{"regex": "("}]}), "filters.0", "missing field `replace`"),
        (json!({"filters": [{"regex": "", "replace": ""}]}), "filters.0.regex", "write at least 1"),
        (json!({"filters": [{"regex": "(", "replace": ""}]}), "filters.0.regex", "unclosed group"),
        (json!({"filters": [{"regex": "a", "replace": "$x"}]}), "filters.0.replace", "before a name"),
        (json!({"filters": [{"regex": "a", "replace": "", "options": "D"}]}), "filters.0.options", "`D` is none"),
        (json!({"filters": [{"regex": "a", "replace": "", "scope": "all"}]}), "filters.0.scope", "unknown variant"),
        (
            json!({"filters": [{"regex": "a", "replace": ""}], "max_resp_body_size": 0}),
            "max_resp_body_size",
            "at least 1",
        ),
        (json!({"vars": ["status", "==", 1]}), "vars", "failed to validate the 'vars' expression: "),
        (json!({"headers": {"add": ["x"]}}), "headers", "write \"Name: value\""),
        (json!({"headers": {"set": {"transfer-encoding": "x"}}}), "headers.set.transfer-encoding", "connection"),
        (json!({"code": 1}), "code", "unknown field"),
    ] {
        let error = rewrite(&block).unwrap_err();
        assert_eq!(error.field(), field, "{block}");
        assert!(error.to_string().contains(says), "{block}: {error}");
    }
}
