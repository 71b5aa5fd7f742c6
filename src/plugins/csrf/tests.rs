//! Tables of the decision, and the cookie.
use http::header::COOKIE;
use serde_json::{Value, json};

use super::*;
use crate::Body;
use crate::plugin::Plugin as _;
use crate::plugins::testing::{ask, build_error, built, configured};

fn csrf(block: Value) -> Csrf {
    Csrf::new(configured(block)).unwrap()
}

fn cookie(csrf: &Csrf, now: u64) -> String {
    csrf.cookie(now).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_request_that_changes_something_carries_the_token_twice() {
    let ours = csrf(json!({"key": "k", "name": "X-Csrf"}));
    let issued = cookie(&ours, 1000);
    let token = issued.strip_prefix("X-Csrf=").unwrap().split(';').next().unwrap();
    let other = cookie(&csrf(json!({"key": "other", "name": "X-Csrf"})), 1000);
    let other = other.strip_prefix("X-Csrf=").unwrap().split(';').next().unwrap();
    let with = |token: &str| Some(format!("a=b; X-Csrf={token}; c=d"));
    for (method, header, cookie, now, judged) in [
        ("GET", None, None, 1000, Ok(())),
        ("HEAD", None, None, 1000, Ok(())),
        ("OPTIONS", None, None, 1000, Ok(())),
        ("POST", Some(token), with(token), 1000, Ok(())),
        ("PURGE", Some(token), with(token), 8200, Ok(())),
        ("POST", Some(token), with(token), 8201, Err(CsrfRejection::Signature)),
        ("POST", None, with(token), 1000, Err(CsrfRejection::NoHeader)),
        ("DELETE", Some(""), with(token), 1000, Err(CsrfRejection::NoHeader)),
        ("POST", Some(token), None, 1000, Err(CsrfRejection::NoCookie)),
        ("POST", Some(token), Some("x-csrf=1".to_owned()), 1000, Err(CsrfRejection::NoCookie)),
        ("POST", Some(token), with(other), 1000, Err(CsrfRejection::Mismatch)),
        ("POST", Some(token), with(""), 1000, Err(CsrfRejection::Mismatch)),
        ("POST", Some(other), with(other), 1000, Err(CsrfRejection::Signature)),
        ("POST", Some("x"), with("x"), 1000, Err(CsrfRejection::Signature)),
    ] {
        let mut request = http::Request::builder().method(method).body(()).unwrap();
        if let Some(header) = header {
            request.headers_mut().insert("x-csrf", header.parse().unwrap());
        }
        if let Some(cookie) = &cookie {
            request.headers_mut().insert(COOKIE, cookie.parse().unwrap());
        }
        assert_eq!(ours.judge(&request, now), judged, "{method} {header:?} {cookie:?} {now}");
    }
}

#[test]
fn the_cookie_says_when_it_ends() {
    let cookie_of = |block| cookie(&csrf(block), 1_700_000_000);
    let usual = cookie_of(json!({"key": "k"}));
    assert!(usual.starts_with("apisix-csrf-token="), "{usual}");
    assert!(usual.ends_with(";path=/;SameSite=Lax;Expires=Wed, 15 Nov 2023 00:13:20 GMT"), "{usual}");
    for expires in [0, -5] {
        assert!(cookie_of(json!({"key": "k", "expires": expires})).ends_with(";path=/;SameSite=Lax"));
    }
    assert!(cookie(&csrf(json!({"key": "k"})), u64::MAX).ends_with("Fri, 31 Dec 9999 23:59:59 GMT"));
    let csrf = csrf(json!({"key": "k"}));
    assert_ne!(cookie(&csrf, 1000), cookie(&csrf, 1000));
}

#[tokio::test]
async fn every_answer_hands_out_a_token_that_works() {
    for block in [json!({"key": "k", "name": "t"}), json!({"key": "k", "name": "t", "token_version": 2})] {
        let layer = built(CsrfPlugin, &block);
        let post = |token: Option<&str>| {
            let mut request = http::Request::builder().method("POST").body(Body::empty()).unwrap();
            if let Some(token) = token {
                request.headers_mut().insert("t", token.parse().unwrap());
                request.headers_mut().insert(COOKIE, format!("t={token}").parse().unwrap());
            }
            request
        };
        let refused = ask(&layer, post(None)).await;
        assert_eq!((refused.status(), refused.body()), (401, "{\"error_msg\":\"no csrf token in headers\"}\n"));
        let cookie = refused.header("set-cookie").unwrap();
        let token = cookie.strip_prefix("t=").unwrap().split(';').next().unwrap();
        let passed = ask(&layer, post(Some(token))).await;
        assert_eq!(passed.status(), 200, "{block}");
        assert!(passed.header("set-cookie").is_some_and(|next| next != cookie));
        let forged = ask(&layer, post(Some("e30="))).await;
        assert_eq!(forged.body(), "{\"error_msg\":\"Failed to verify the csrf token signature\"}\n");
    }
}

#[test]
fn short_keys_are_taken_with_a_word() {
    let caveats = |key: &str| CsrfPlugin.caveats(&configured(json!({"key": key})));
    assert_eq!(caveats("0123456789abcde")[0].field, "key");
    assert!(caveats("0123456789abcdef").is_empty());
}

#[test]
fn faulty_blocks_are_refused() {
    for (block, says) in [
        (json!({}), "key: is required"),
        (json!({"key": ""}), "key: is required"),
        (json!({"key": 1}), "key: wrong type"),
        (json!({"key": "k", "expires": 3_155_760_001_i64}), "expires: is more than"),
        (json!({"key": "k", "expires": 1.5}), "expires: invalid type"),
        (json!({"key": "k", "name": ""}), "name: is no name"),
        (json!({"key": "k", "name": "a b"}), "name: is no name"),
        (json!({"key": "k", "name": "a=b"}), "name: is no name"),
        (json!({"key": "k", "token_version": 3}), "token_version: is to be 1 or 2"),
        (json!({"key": "k", "secret": "s"}), "unknown field `secret`"),
    ] {
        let error = build_error(CsrfPlugin, &block);
        assert!(error.contains(says), "{block}: {error}");
    }
    assert!(!format!("{:?}", csrf(json!({"key": "not-to-be-shown"}))).contains("not-to-be-shown"));
}
