use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;

use super::*;
use crate::Body;
use crate::error::{Request, Response};
use crate::model::ConsumerSpec;
use crate::plugin::{AuthPlugin as _, Plugin as _};
use crate::request::{Consumer, Consumers};

const NOW: u64 = 1_700_000_000;
const SECRET: &str = "canary-secret";

fn auth(config: HmacAuthConfig) -> HmacAuth {
    let plugin = HmacAuthPlugin::default();
    let consumer = |name: &str| Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() });
    let key = plugin.to_credential(HmacAuthCredential::new("k", SECRET)).unwrap();
    let builder = Consumers::builder().consumer(&consumer("acme"), [key]).unwrap();
    let consumers = Arc::new(builder.consumer(&consumer("visitor"), []).unwrap().build());
    HmacAuth::new(config, consumers, &plugin).unwrap()
}

fn date(at: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at))
}

fn tag(algorithm: hmac::Algorithm, message: &str) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(algorithm, SECRET.as_bytes()), message.as_bytes()))
}

fn authorization(headers: &str, signature: &str) -> String {
    format!(r#"Signature keyId="k",algorithm="hmac-sha256",headers="{headers}",signature="{signature}""#)
}

/// `GET /orders?id=7` with `Date` at `at`, and this `Authorization`.
fn request(authorization: &str, at: u64) -> Request {
    let request = http::Request::builder().uri("/orders?id=7").header("date", date(at)).header("x-a", "1");
    request.header("authorization", authorization).body(Body::empty()).unwrap()
}

/// Signed as the defaults want it, and a bit more.
fn signed(at: u64) -> Request {
    let message = format!("k\nGET /orders?id=7\ndate: {}\nx-a: 1\n", date(at));
    request(&authorization("@request-target date x-a", &tag(hmac::HMAC_SHA256, &message)), at)
}

/// Who it was, or status and message.
async fn judged(auth: &HmacAuth, mut request: Request) -> Result<String, (u16, String)> {
    match auth.admit_at(&mut request, NOW).await {
        Ok(()) => Ok(Consumer::of(&request).unwrap().name().to_string()),
        Err(answer) => Err((answer.status().as_u16(), message(&answer))),
    }
}

fn message(answer: &Response) -> String {
    let body: serde_json::Value = serde_json::from_slice(answer.body().as_bytes().unwrap()).unwrap();
    body["message"].as_str().unwrap().to_owned()
}

const REFUSED: &str = "client request can't be validated";

fn refused() -> Result<String, (u16, String)> {
    Err((401, REFUSED.to_owned()))
}

#[tokio::test]
async fn signatures_of_every_algorithm_are_taken_and_no_others() {
    let auth = auth(HmacAuthConfig::default());
    assert_eq!(judged(&auth, signed(NOW)).await, Ok("acme".to_owned()));
    let message = format!("k\ndate: {}\n", date(NOW));
    for (name, algorithm, taken) in [
        ("hmac-sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, true),
        ("hmac-sha256", hmac::HMAC_SHA256, true),
        ("hmac-sha512", hmac::HMAC_SHA512, true),
        ("hmac-sha384", hmac::HMAC_SHA384, false),
        ("HMAC-SHA256", hmac::HMAC_SHA256, false),
        ("hmac-sha512", hmac::HMAC_SHA256, false),
        ("none", hmac::HMAC_SHA256, false),
    ] {
        let value = authorization("date", &tag(algorithm, &message)).replace("hmac-sha256", name);
        assert_eq!(judged(&auth, request(&value, NOW)).await.is_ok(), taken, "{name}");
    }
    let one = HmacAuthConfig { allowed_algorithms: vec![HmacAlgorithm::Sha512], ..Default::default() };
    assert_eq!(judged(&self::auth(one), signed(NOW)).await, refused());
}

#[tokio::test]
async fn every_step_of_the_decision_is_judged() {
    let auth = auth(HmacAuthConfig { signed_headers: vec!["X-A".to_owned()], ..Default::default() });
    let message = format!("k\ndate: {}\nx-a: 1\n", date(NOW));
    let good = tag(hmac::HMAC_SHA256, &message);
    let right = authorization("date x-a", &good);
    assert_eq!(judged(&auth, request(&right, NOW)).await, Ok("acme".to_owned()));
    assert_eq!(judged(&auth, request(&right.replace("Signature", "sIGNATURE"), NOW)).await, Ok("acme".to_owned()));

    let other_scheme = format!("{REFUSED}: Authorization header does not start with 'Signature'");
    for value in ["Basic a", "", "Signatur", "Signaturex keyId=\"k\""] {
        assert_eq!(judged(&auth, request(value, NOW)).await, Err((401, other_scheme.clone())), "{value}");
    }
    let date_only = authorization("date", &tag(hmac::HMAC_SHA256, &format!("k\ndate: {}\n", date(NOW))));
    let undated = authorization("x-a", &tag(hmac::HMAC_SHA256, "k\nx-a: 1\n"));
    for value in [
        "Signature".to_owned(),
        "Signature nonsense".to_owned(),
        right.replace("keyId", "key"),
        right.replace("signature=", "sig="),
        right.replace("algorithm", "algo"),
        right.replace("\"k\"", "\"K\""),
        right.replace("\"k\"", "\"\""),
        right.replace("headers=", "header="),
        right.replace(&good, &good.to_lowercase()),
        right.replace(&good, ""),
        right.replace(&good, "?"),
        right.replace(&good, &STANDARD.encode(&STANDARD.decode(&good).unwrap()[..16])),
        right.replace("date x-a", "x-a date"),
        format!("{right},keyId=\"k\""),
        date_only,
        undated,
    ] {
        assert_eq!(judged(&auth, request(&value, NOW)).await, refused(), "{value}");
    }

    let mut missing = request(&right, NOW);
    missing.headers_mut().remove("authorization");
    assert_eq!(judged(&auth, missing).await, Err((401, format!("{REFUSED}: missing Authorization header"))));
    let mut binary = request(&right, NOW);
    binary.headers_mut().insert("authorization", HeaderValue::from_bytes(b"Signature \xff").unwrap());
    assert_eq!(judged(&auth, binary).await, refused());
    let mut twice = request(&right, NOW);
    twice.headers_mut().append("authorization", HeaderValue::from_str(&right).unwrap());
    assert_eq!(judged(&auth, twice).await.unwrap_err().0, 400);
}

#[tokio::test]
async fn sec_auth_06_what_is_signed_cannot_be_changed() {
    let auth = auth(HmacAuthConfig::default());
    let changed = |change: &dyn Fn(&mut Request)| {
        let mut request = signed(NOW);
        change(&mut request);
        request
    };
    for request in [
        changed(&|request| *request.method_mut() = http::Method::DELETE),
        changed(&|request| *request.uri_mut() = "/orders?id=8".parse().unwrap()),
        changed(&|request| *request.uri_mut() = "/Orders?id=7".parse().unwrap()),
        changed(&|request| {
            request.headers_mut().insert("date", date(NOW + 1).parse().unwrap());
        }),
        changed(&|request| {
            request.headers_mut().append("date", date(NOW).parse().unwrap());
        }),
        changed(&|request| {
            request.headers_mut().remove("date");
        }),
        changed(&|request| {
            request.headers_mut().insert("x-a", "2".parse().unwrap());
        }),
        changed(&|request| {
            request.headers_mut().append("x-a", "2".parse().unwrap());
        }),
        changed(&|request| {
            request.headers_mut().remove("x-a");
        }),
    ] {
        assert_eq!(judged(&auth, request).await, refused());
    }
}

#[tokio::test]
async fn dates_count_within_the_skew() {
    let auth = auth(HmacAuthConfig { clock_skew: 10, ..Default::default() });
    for (at, taken) in [(NOW - 10, true), (NOW + 10, true), (NOW - 11, false), (NOW + 11, false), (0, false)] {
        assert_eq!(judged(&auth, signed(at)).await.is_ok(), taken, "{at}");
    }
    for text in ["yesterday", "2023-11-14T22:13:20Z", "1700000000", ""] {
        let value = authorization("date", &tag(hmac::HMAC_SHA256, &format!("k\ndate: {text}\n")));
        let mut request = request(&value, NOW);
        request.headers_mut().insert("date", text.parse().unwrap());
        assert_eq!(judged(&auth, request).await, refused(), "{text}");
    }
}

#[tokio::test]
async fn sec_auth_06_a_replay_is_refused_when_asked_for() {
    let auth = auth(HmacAuthConfig { refuse_replays: true, ..Default::default() });
    assert_eq!(judged(&auth, signed(NOW)).await, Ok("acme".to_owned()));
    assert_eq!(judged(&auth, signed(NOW)).await, refused());
    assert_eq!(judged(&auth, signed(NOW + 1)).await, Ok("acme".to_owned()));
    let lax = self::auth(HmacAuthConfig::default());
    for _ in 0..2 {
        assert_eq!(judged(&lax, signed(NOW)).await, Ok("acme".to_owned()));
    }
}

/// The head of [`signed`] before this body.
fn with_body(digest: Option<&str>, body: Body) -> Request {
    let mut request = signed(NOW).map(|_| body);
    if let Some(digest) = digest {
        request.headers_mut().insert("digest", digest.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_body_is_held_against_its_digest_and_goes_on_whole() {
    let auth = auth(HmacAuthConfig { validate_request_body: true, max_req_body_size: 1 << 20, ..Default::default() });
    // SHA-256 of `hello` and of nothing.
    let (hello, nothing) = (
        "SHA-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    );
    let stream = || {
        let frames = ["hel", "lo"].map(|text| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(text))));
        Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
    };
    let mut request = with_body(Some(hello), stream());
    auth.admit_at(&mut request, NOW).await.unwrap();
    assert_eq!(request.into_body().buffer(9).await.unwrap(), "hello");
    for (digest, body, taken) in [
        (Some(hello), Body::from("hello"), true),
        (Some(&*hello.replace("SHA", "sha")), Body::from("hello"), true),
        (Some(nothing), Body::empty(), true),
        (None, Body::empty(), false),
        (Some(hello), Body::from("Hello"), false),
        (Some(nothing), stream(), false),
        (Some(&hello[8..]), stream(), false),
        (Some("SHA-256="), stream(), false),
        (Some("SHA-256=!"), stream(), false),
        (Some(&*format!("{hello},{hello}")), stream(), false),
    ] {
        assert_eq!(judged(&auth, with_body(digest, body)).await.is_ok(), taken, "{digest:?}");
    }
    let long = with_body(Some(hello), Body::from(vec![b'x'; (1 << 20) + 1]));
    assert_eq!(judged(&auth, long).await, Err((413, REFUSED.to_owned())));
    // Whoever is not known cannot make anything be read.
    let mut unsigned = with_body(Some(hello), stream());
    unsigned.headers_mut().insert("x-a", "2".parse().unwrap());
    assert!(auth.admit_at(&mut unsigned, NOW).await.is_err());
    assert_eq!(unsigned.into_body().buffer(9).await.unwrap(), "hello");
}

#[tokio::test]
async fn the_anonymous_comes_in_and_credentials_stay_here() {
    let config = || HmacAuthConfig {
        hide_credentials: true,
        anonymous_consumer: Some("visitor".to_owned()),
        ..Default::default()
    };
    for (value, consumer) in [(signed(NOW), "acme"), (request("Basic YTpi", NOW), "visitor")] {
        let mut request = value;
        auth(config()).admit_at(&mut request, NOW).await.unwrap();
        assert_eq!(&**Consumer::of(&request).unwrap().name(), consumer);
        assert!(!request.headers().contains_key("authorization"));
    }
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let fields = |config: HmacAuthConfig| {
        HmacAuthPlugin::default().caveats(&config).into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    let lax = HmacAuthConfig { validate_request_body: true, ..Default::default() };
    assert_eq!(fields(lax), ["signed_headers", "signed_headers", "refuse_replays", "hide_credentials"]);
    let signed_headers = ["@request-target", "host", "date", "Digest"].map(str::to_owned).to_vec();
    let strict = HmacAuthConfig { signed_headers, refuse_replays: true, hide_credentials: true, ..Default::default() };
    assert_eq!(fields(strict), [""; 0]);
}

#[test]
fn blocks_that_cannot_work_are_refused_by_field() {
    let plugin = HmacAuthPlugin::default();
    let empty = Arc::new(Consumers::builder().build());
    let field = |config| HmacAuth::new(config, Arc::clone(&empty), &plugin).unwrap_err().field().to_owned();
    let config = HmacAuthConfig::default;
    assert_eq!(field(HmacAuthConfig { allowed_algorithms: vec![], ..config() }), "allowed_algorithms");
    assert_eq!(field(HmacAuthConfig { clock_skew: 0, ..config() }), "clock_skew");
    assert_eq!(field(HmacAuthConfig { max_req_body_size: 0, ..config() }), "max_req_body_size");
    for name in [String::new(), "a b".to_owned(), "@target".to_owned(), "x".repeat(51)] {
        assert_eq!(
            field(HmacAuthConfig { signed_headers: vec!["date".to_owned(), name], ..config() }),
            "signed_headers.1"
        );
    }
    for (key_id, secret, field) in [
        ("", "s", "key_id"),
        ("k", "", "secret_key"),
        (&*"k".repeat(257), "s", "key_id"),
        ("k", &*"s".repeat(257), "secret_key"),
    ] {
        let error = plugin.credential(HmacAuthCredential::new(key_id, secret)).unwrap_err();
        assert_eq!(error.field(), field);
    }
}
