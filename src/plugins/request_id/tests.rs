//! What requests and answers carry.
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::{Answer, ask_over, build_error, built};
use crate::request::RequestVars;
use crate::router::{VarName, Variables};
use crate::{Body, Next, Response};

/// What went to the upstream (the field, the variable), and what came back of an upstream that tells `told`.
async fn ask(block: Value, field: &str, sent: Option<&str>, told: Option<&'static str>) -> (String, String, Answer) {
    let seen = Arc::new(Mutex::new((String::new(), String::new())));
    let (noted, name) = (Arc::clone(&seen), field.to_owned());
    let end = Next::from_fn(move |request| {
        let vars = RequestVars::of(&request);
        let variable = match vars.get(&VarName::parse("apisix_request_id")) {
            Some(crate::router::Value::Text(text)) => String::from_utf8(text.into_owned()).unwrap(),
            _ => String::new(),
        };
        *noted.lock().unwrap() = (request.headers()[&name].to_str().unwrap().to_owned(), variable);
        let name = name.clone();
        async move {
            let mut response = Response::new(Body::empty());
            if let Some(told) = told {
                let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
                response.headers_mut().insert(name, http::HeaderValue::from_static(told));
            }
            response
        }
    });
    let mut request = http::Request::default();
    if let Some(sent) = sent {
        let name = http::HeaderName::from_bytes(field.as_bytes()).unwrap();
        request.headers_mut().insert(name, sent.parse().unwrap());
    }
    let answer = ask_over(&built(RequestIdPlugin, &block), end, request).await;
    let (field, variable) = seen.lock().unwrap().clone();
    (field, variable, answer)
}

#[tokio::test]
async fn ids_are_made_or_kept_and_told() {
    let (field, variable, answer) = ask(json!({}), "x-request-id", None, None).await;
    assert_eq!((field.len(), &variable), (36, &field));
    assert_eq!(answer.header("x-request-id"), Some(field));

    let (field, variable, answer) = ask(json!({}), "x-request-id", Some("mine"), None).await;
    assert_eq!((&*field, &*variable, answer.header("x-request-id").as_deref()), ("mine", "mine", Some("mine")));

    let (field, _, _) = ask(json!({}), "x-request-id", Some(""), None).await;
    assert_eq!(field.len(), 36);

    let (field, variable, answer) = ask(json!({"trust_incoming": false}), "x-request-id", Some("mine"), None).await;
    assert_eq!((field.len(), &variable, answer.header("x-request-id")), (36, &field, Some(field.clone())));
}

#[tokio::test]
async fn the_upstreams_word_stays_and_silence_is_possible() {
    for (block, told, answered) in [
        (json!({}), Some("theirs"), Some("theirs")),
        (json!({}), Some(""), Some("mine")),
        (json!({"include_in_response": false}), None, None),
        (json!({"include_in_response": false}), Some("theirs"), Some("theirs")),
    ] {
        let (_, _, answer) = ask(block.clone(), "x-request-id", Some("mine"), told).await;
        assert_eq!(answer.header("x-request-id").as_deref(), answered, "{block} {told:?}");
    }
}

#[tokio::test]
async fn every_algorithm_and_any_field() {
    for (block, length) in [
        (json!({"algorithm": "uuid"}), 36),
        (json!({"algorithm": "uuidv7"}), 36),
        (json!({"algorithm": "nanoid"}), 21),
        (json!({"algorithm": "ksuid"}), 27),
        (json!({"algorithm": "range_id"}), 16),
        (json!({"algorithm": "range_id", "range_id": {"length": 6, "char_set": "abcdef"}}), 6),
    ] {
        let mut block = block;
        block["header_name"] = json!("X-Trace");
        let (field, variable, answer) = ask(block.clone(), "x-trace", None, None).await;
        assert_eq!((field.len(), &variable), (length, &field), "{block}");
        assert_eq!(answer.header("x-trace"), Some(field), "{block}");
        assert_eq!(answer.header("x-request-id"), None);
    }
}

#[test]
fn faulty_blocks_are_refused() {
    for (block, says) in [
        (json!({"header_name": ""}), "header_name: is no name"),
        (json!({"header_name": "a b"}), "header_name: is no name"),
        (json!({"header_name": "Content-Length"}), "header_name: `content-length` is written by the gateway"),
        (json!({"algorithm": "snowflake"}), "algorithm: unknown variant `snowflake`"),
        (json!({"range_id": {"length": 5}}), "range_id.length: is to be 6 to 256"),
        (json!({"range_id": {"length": 257}}), "range_id.length: is to be 6 to 256"),
        (json!({"range_id": {"char_set": "abcde"}}), "range_id.char_set: is to have at least 6"),
        (json!({"range_id": {"char_set": "abcde f"}}), "range_id.char_set: is to have"),
        (json!({"range_id": {"char_set": "abcdé fg"}}), "range_id.char_set: is to have"),
        (json!({"range_id": {"size": 9}}), "unknown field `size`"),
        (json!({"include": true}), "unknown field `include`"),
    ] {
        let error = build_error(RequestIdPlugin, &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}
