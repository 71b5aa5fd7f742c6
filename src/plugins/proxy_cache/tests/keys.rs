//! Which requests are given the same answer.
use http::{HeaderValue, Method};
use serde_json::json;

use super::super::Keys;
use super::rig::{Rig, reply, request, status};
use crate::request::ShownAs;
use crate::{Body, ConnectInfo, Request};

#[tokio::test(start_paused = true)]
async fn sec_cache_01_scheme_host_port_and_query_tell_answers_apart() {
    let rig = Rig::new(json!({"cache_key": ["$request_uri"]}), &[reply(200, &[], "x")]);
    for (target, host, wanted) in [
        ("/a", "one.test", "MISS"),
        ("/a", "two.test", "MISS"),
        ("/a", "one.test:8080", "MISS"),
        ("/a?x", "one.test", "MISS"),
        ("/a", "ONE.test.", "HIT"),
        ("/a", "one.test:80", "HIT"),
        ("/a", "One.Test.:8080", "HIT"),
    ] {
        assert_eq!(rig.status(target, &[("host", host)]).await, wanted, "{host}{target}");
    }
    let tls = |mut request: Request| {
        let mut info = ConnectInfo::new("127.0.0.1:9".parse().unwrap());
        info.tls = true;
        request.extensions_mut().insert(info);
        request
    };
    let https = || tls(request("GET", "/a", &[("host", "one.test")]));
    assert_eq!(status(&rig.send(https()).await), "MISS");
    assert_eq!(status(&rig.send(https()).await), "HIT");
}

#[test]
fn sec_cache_01_what_a_client_writes_passes_for_nothing_else() {
    let keys = |count: usize| {
        let parts: Vec<_> = (0..count).map(|number| format!("$http_x_{number}")).collect();
        Keys::new(&parts, true).unwrap()
    };
    let mut shown = request("GET", "/", &[("x-0", "a")]);
    let host = Some(HeaderValue::from_static("one.test"));
    shown.extensions_mut().insert(Box::new(ShownAs { host, ..ShownAs::default() }));
    let shown = keys(1).of(&shown, &Method::GET, b"").key;
    for values in [&["shown", "one.test", "", "", "", "a"][..], &["one.test", "", "", "", "a"]] {
        let mut written = request("GET", "/", &[]);
        for (number, value) in values.iter().enumerate() {
            let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
            written.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        assert_ne!(keys(values.len()).of(&written, &Method::GET, b"").key, shown);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_keyed_with_what_it_is_read_as() {
    let rig = Rig::new(json!({"cache_method": ["POST"]}), &[reply(200, &[], "x")]);
    let post = |name, value| request("POST", "/", &[(name, value)]).map(|_| Body::from("{}"));
    for (name, value, wanted) in [
        ("content-type", "application/json", "MISS"),
        ("content-type", "text/plain", "MISS"),
        ("content-encoding", "gzip", "MISS"),
        ("content-type", "application/json", "HIT"),
    ] {
        assert_eq!(status(&rig.send(post(name, value)).await), wanted, "{name}: {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn variants_are_told_apart_by_what_vary_names() {
    let rig = Rig::new(json!({}), &[reply(200, &[("vary", "Accept-Language")], "x")]);
    for (language, wanted) in [("de", "MISS"), ("en", "MISS"), ("de", "HIT"), ("en", "HIT"), ("fr", "MISS")] {
        assert_eq!(rig.status("/", &[("accept-language", language)]).await, wanted, "{language}");
    }
    // a coding that nobody asked for is not given to those who cannot read it
    let rig = Rig::new(json!({}), &[reply(200, &[("content-encoding", "gzip")], "x")]);
    for (coding, wanted) in [("gzip", "MISS"), ("identity", "MISS"), ("gzip", "HIT")] {
        assert_eq!(rig.status("/", &[("accept-encoding", coding)]).await, wanted, "{coding}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_of_posts_are_part_of_the_key() {
    let rig = Rig::new(json!({"cache_method": ["POST"]}), &[reply(200, &[], "x")]);
    let post = |body: &'static str| request("POST", "/", &[]).map(|_| Body::from(body));
    for (body, wanted) in [("a", "MISS"), ("b", "MISS"), ("a", "HIT"), ("", "MISS"), ("", "HIT")] {
        assert_eq!(status(&rig.send(post(body)).await), wanted, "{body}");
    }
    for name in ["if-none-match", "if-modified-since", "range"] {
        let asks = request("POST", "/", &[(name, "x")]).map(|_| Body::from("a"));
        assert_eq!(status(&rig.send(asks).await), "BYPASS", "{name}");
        assert_eq!(rig.origin.last(name).as_deref(), Some("x"));
    }
    let long = request("POST", "/", &[]).map(|_| Body::from(vec![b'x'; 65_537]));
    assert_eq!(status(&rig.send(long).await), "BYPASS");
    assert_eq!(rig.status("/", &[]).await, "MISS", "a GET is not cached there");
}

#[tokio::test(start_paused = true)]
async fn sec_cache_02_fields_that_no_key_holds_do_not_reach_the_origin() {
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    rig.get("/", &[("x-forwarded-host", "evil.test"), ("x-original-url", "/admin"), ("x-kept", "1")]).await;
    assert_eq!((rig.origin.last("x-forwarded-host"), rig.origin.last("x-original-url")), (None, None));
    assert_eq!(rig.origin.last("x-kept").as_deref(), Some("1"));
    let rig = Rig::new(json!({"cache_key": ["$uri", "$http_x_forwarded_host"]}), &[reply(200, &[], "x")]);
    assert_eq!(rig.status("/", &[("x-forwarded-host", "a")]).await, "MISS");
    assert_eq!(rig.origin.last("x-forwarded-host").as_deref(), Some("a"));
    assert_eq!(rig.status("/", &[("x-forwarded-host", "b")]).await, "MISS");
}

#[tokio::test(start_paused = true)]
async fn sec_cache_02_gets_with_a_body_are_beside_the_cache() {
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    let fat = || request("GET", "/", &[]).map(|_| Body::from("name=evil"));
    for _ in 0..2 {
        assert_eq!(status(&rig.send(fat()).await), "BYPASS");
    }
    assert_eq!(rig.status("/", &[]).await, "MISS");
    assert_eq!(status(&rig.send(fat()).await), "BYPASS");
}
