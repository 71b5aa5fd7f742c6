//! Tables of the decision, and of the fields that answers get.
use http::HeaderName;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN};
use serde_json::{Value, json};

use super::*;
use crate::plugin::Plugin as _;
use crate::plugins::testing::{Answer, ask_over, build_error, configured};
use crate::{Body, Next, PluginLayer, Response};

const METADATA: &str = r#"{"allow_origins": {"one": "https://one.test", "list": "https://a.test,https://b.test",
    "any": "*", "name": "**"}}"#;

fn layer(block: &Value) -> PluginLayer {
    let metadata = serde_json::from_str(METADATA).unwrap();
    CorsLayer::of(Cors::with_metadata(configured(block.clone()), &metadata).unwrap()).into()
}

/// The answer to a request of that origin, before an upstream that sends these fields.
async fn ask(block: &Value, method: &str, origin: Option<&str>, told: &[(&'static str, &'static str)]) -> Answer {
    let told = told.to_vec();
    let end = Next::from_fn(move |_| {
        let mut response = Response::new(Body::from("upstream"));
        for (name, value) in &told {
            response.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
        }
        async move { response }
    });
    let mut request = http::Request::builder().method(method).body(Body::empty()).unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert(ORIGIN, origin.parse().unwrap());
        request.headers_mut().insert(ACCESS_CONTROL_REQUEST_HEADERS, "x-asked".parse().unwrap());
    }
    ask_over(&layer(block), end, request).await
}

#[tokio::test]
async fn the_allowed_origin() {
    const LIST: &str = "https://a.test,https://b.test:8443";
    for (block, origin, allowed, vary) in [
        (json!({}), Some("https://a.test"), Some("*"), None),
        (json!({}), None, Some("*"), None),
        (json!({"allow_origins": "**"}), Some("https://a.test"), Some("https://a.test"), Some("Origin")),
        (json!({"allow_origins": "**"}), None, Some("*"), Some("Origin")),
        (json!({"allow_origins": "null"}), Some("https://a.test"), Some("null"), Some("Origin")),
        // A single one is told whoever asks.
        (json!({"allow_origins": "https://a.test"}), Some("https://b.test"), Some("https://a.test"), Some("Origin")),
        (json!({"allow_origins": LIST}), Some("https://b.test:8443"), Some("https://b.test:8443"), Some("Origin")),
        (json!({"allow_origins": LIST}), Some("https://b.test"), None, Some("Origin")),
        (json!({"allow_origins": LIST}), Some("HTTPS://A.TEST"), None, Some("Origin")),
        (json!({"allow_origins": LIST}), None, None, Some("Origin")),
        // Expressions count alone, and are not anchored.
        (
            json!({"allow_origins_by_regex": ["\\.a\\.test$", "^x"]}),
            Some("https://s.a.test"),
            Some("https://s.a.test"),
            Some("Origin"),
        ),
        (
            json!({"allow_origins_by_regex": ["a\\.test"]}),
            Some("https://a.test.evil"),
            Some("https://a.test.evil"),
            Some("Origin"),
        ),
        (json!({"allow_origins_by_regex": ["^x"]}), Some("https://a.test"), None, Some("Origin")),
        (json!({"allow_origins_by_regex": [".*"]}), None, None, Some("Origin")),
        (
            json!({"allow_origins": "https://a.test", "allow_origins_by_regex": ["^x"]}),
            Some("https://a.test"),
            None,
            Some("Origin"),
        ),
        // Names of the metadata; here a single one must fit.
        (
            json!({"allow_origins_by_metadata": ["one"]}),
            Some("https://one.test"),
            Some("https://one.test"),
            Some("Origin"),
        ),
        (json!({"allow_origins_by_metadata": ["one"]}), Some("https://a.test"), None, Some("Origin")),
        (
            json!({"allow_origins_by_metadata": ["one", "list"]}),
            Some("https://b.test"),
            Some("https://b.test"),
            Some("Origin"),
        ),
        (json!({"allow_origins_by_metadata": ["any"]}), Some("https://b.test"), Some("*"), Some("Origin")),
        (
            json!({"allow_origins_by_metadata": ["name"]}),
            Some("https://b.test"),
            Some("https://b.test"),
            Some("Origin"),
        ),
        (json!({"allow_origins_by_metadata": ["missing"]}), Some("https://a.test"), None, Some("Origin")),
        (
            json!({"allow_origins": LIST, "allow_origins_by_metadata": ["one"]}),
            Some("https://a.test"),
            Some("https://a.test"),
            Some("Origin"),
        ),
        (
            json!({"allow_origins_by_metadata": ["one"], "allow_origins_by_regex": [".*"]}),
            Some("https://a.test"),
            None,
            Some("Origin"),
        ),
    ] {
        let answer = ask(&block, "GET", origin, &[]).await;
        let found = (answer.header("access-control-allow-origin"), answer.header("vary"));
        assert_eq!(found, (allowed.map(str::to_owned), vary.map(str::to_owned)), "{block} {origin:?}");
        assert_eq!(answer.body(), "upstream");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_at_once() {
    for origin in [Some("https://a.test"), None] {
        let answer = ask(&json!({}), "OPTIONS", origin, &[("x-upstream", "1")]).await;
        assert_eq!((answer.status(), answer.body(), answer.header("x-upstream")), (200, "", None));
        assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("*"));
    }
    let refused =
        ask(&json!({"allow_origins": "https://a.test,https://b.test"}), "OPTIONS", Some("https://c.test"), &[]).await;
    assert_eq!((refused.status(), refused.header("access-control-allow-methods")), (200, None));
}

#[tokio::test]
async fn all_the_fields() {
    let defaults = ask(&json!({}), "GET", Some("https://a.test"), &[]).await;
    let full = json!({
        "allow_origins": "**", "allow_methods": "**", "allow_headers": "**", "expose_headers": "x-one,x-two",
        "max_age": -1, "allow_credential": true,
    });
    let full = ask(&full, "GET", Some("https://a.test"), &[]).await;
    let empty =
        ask(&json!({"expose_headers": "", "allow_headers": "**", "allow_methods": "GET"}), "GET", None, &[]).await;
    for (name, by_default, in_full, when_empty) in [
        ("access-control-allow-origin", Some("*"), Some("https://a.test"), Some("*")),
        (
            "access-control-allow-methods",
            Some("*"),
            Some("GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"),
            Some("GET"),
        ),
        ("access-control-allow-headers", Some("*"), Some("x-asked"), None),
        ("access-control-expose-headers", None, Some("x-one,x-two"), None),
        ("access-control-max-age", Some("5"), Some("-1"), Some("5")),
        ("access-control-allow-credentials", None, Some("true"), None),
        ("timing-allow-origin", None, None, None),
    ] {
        let found = [&defaults, &full, &empty].map(|answer| answer.header(name));
        assert_eq!(found, [by_default, in_full, when_empty].map(|text| text.map(str::to_owned)), "{name}");
    }
}

#[tokio::test]
async fn the_upstreams_fields_are_replaced_or_stay() {
    let told = [
        ("access-control-allow-origin", "https://other.test"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-credentials", "true"),
        ("vary", "Accept, origin"),
    ];
    let allowed = ask(&json!({"allow_origins": "**"}), "GET", Some("https://a.test"), &told).await;
    assert_eq!(allowed.header("access-control-allow-origin").as_deref(), Some("https://a.test"));
    assert_eq!(allowed.header("access-control-allow-methods").as_deref(), Some("*"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert_eq!(allowed.header("vary").as_deref(), Some("Accept, origin"));
    let several = json!({"allow_origins": "https://a.test,https://b.test"});
    let refused = ask(&several, "GET", Some("https://c.test"), &told).await;
    assert_eq!(refused.header("access-control-allow-origin").as_deref(), Some("https://other.test"));
    assert_eq!(refused.header("access-control-allow-credentials").as_deref(), Some("true"));
}

#[tokio::test]
async fn timings_have_origins_of_their_own() {
    for (block, told, vary) in [
        (json!({"timing_allow_origins": "*"}), Some("*"), None),
        (json!({"timing_allow_origins": "**"}), Some("https://a.test"), Some("Origin")),
        (json!({"timing_allow_origins": "https://b.test"}), Some("https://b.test"), Some("Origin")),
        (json!({"timing_allow_origins": "https://b.test,https://c.test"}), None, Some("Origin")),
        (json!({"timing_allow_origins": "*", "timing_allow_origins_by_regex": ["^x"]}), None, Some("Origin")),
        (json!({"timing_allow_origins_by_regex": ["a"]}), Some("https://a.test"), Some("Origin")),
    ] {
        let answer = ask(&block, "GET", Some("https://a.test"), &[]).await;
        let found = (answer.header("timing-allow-origin"), answer.header("vary"));
        assert_eq!(found, (told.map(str::to_owned), vary.map(str::to_owned)), "{block}");
        assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("*"));
    }
}

#[test]
fn faulty_blocks_are_refused() {
    const CREDENTIALS: &str = "you can not set '*' for other option when 'allow_credential' is true";
    let closed = json!({"allow_origins": "**", "allow_methods": "**", "allow_headers": "**", "allow_credential": true});
    let with = |field: &str, value: &str| {
        let mut block = closed.clone();
        block[field] = json!(value);
        block
    };
    assert!(Cors::new(configured(closed.clone())).is_ok());
    for (block, says) in [
        (json!({"allow_credential": true}), CREDENTIALS),
        (with("allow_origins", "*"), CREDENTIALS),
        (with("allow_methods", "*"), CREDENTIALS),
        (with("allow_headers", "*"), CREDENTIALS),
        (with("expose_headers", "*"), CREDENTIALS),
        (with("timing_allow_origins", "*"), CREDENTIALS),
        (json!({"allow_origins": ""}), "allow_origins: is to be *, **, null"),
        (json!({"allow_origins": "example.org"}), "allow_origins: is to be"),
        (json!({"allow_origins": "https://a.test, https://b.test"}), "allow_origins: is to be"),
        (json!({"allow_origins": "https://a.test,"}), "allow_origins: is to be"),
        (json!({"allow_origins": "https://a.test/"}), "allow_origins: is to be"),
        (json!({"allow_origins": "https://a.test,https://b.test/app"}), "allow_origins: is to be"),
        (json!({"allow_origins": "https://a.test,*"}), "allow_origins: is to be"),
        (json!({"timing_allow_origins": "a"}), "timing_allow_origins: is to be"),
        (json!({"allow_origins_by_regex": []}), "allow_origins_by_regex: is empty"),
        (json!({"allow_origins_by_regex": ["a", "a"]}), "allow_origins_by_regex.1: stands twice"),
        (json!({"allow_origins_by_regex": ["["]}), "allow_origins_by_regex.0: is no regular expression"),
        (json!({"timing_allow_origins_by_regex": [""]}), "timing_allow_origins_by_regex.0: is empty"),
        (json!({"allow_methods": "GET\nPOST"}), "allow_methods: is no field value"),
        (json!({"max_age": "5"}), "max_age: invalid type"),
        (json!({"allow_origin": "*"}), "unknown field `allow_origin`"),
    ] {
        let error = build_error(CorsPlugin, &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}

#[test]
fn metadata_is_checked() {
    let check = |metadata: Value| CorsPlugin.check_metadata(metadata.as_object().unwrap());
    assert!(check(serde_json::from_str(METADATA).unwrap()).is_ok() && check(json!({})).is_ok());
    let error = check(json!({"allow_origins": {"a": "https://a.test", "b": "b.test"}})).unwrap_err();
    assert_eq!(error.field(), "allow_origins.b");
    assert!(check(json!({"origins": {}})).is_err());
}

#[test]
fn doubtful_blocks_are_taken_with_a_word() {
    let fields = |block: Value| {
        let caveats = CorsPlugin.caveats(&configured(block));
        caveats.into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    let open = json!({"allow_origins": "**", "allow_methods": "**", "allow_headers": "**", "allow_credential": true});
    assert_eq!(fields(open), ["allow_origins"]);
    assert_eq!(fields(json!({"allow_origins_by_regex": ["a\\.test$", "b\\.test"]})), ["allow_origins_by_regex.1"]);
    assert!(fields(json!({"allow_origins": "**"})).is_empty() && fields(json!({})).is_empty());
}
