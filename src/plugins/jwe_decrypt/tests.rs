use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use http::{HeaderValue, Request};

use super::*;
use crate::model::ConsumerSpec;
use crate::plugin::{AuthPlugin as _, BuildContext, Gate as _, Plugin as _, Scope};
use crate::request::{Consumer, Consumers};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn consumers() -> Arc<Consumers> {
    let acme = Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() });
    let credential = JweDecryptPlugin.to_credential(JweDecryptCredential::new("k", SECRET)).unwrap();
    Arc::new(Consumers::builder().consumer(&acme, [credential]).unwrap().build())
}

fn gate(forward: &str, strict: bool) -> JweDecrypt {
    let config = JweDecryptConfig { forward_header: forward.to_owned(), strict, ..JweDecryptConfig::default() };
    JweDecrypt::new(config, consumers()).unwrap()
}

fn config(header: &str, forward: &str) -> JweDecryptConfig {
    JweDecryptConfig { header: header.to_owned(), forward_header: forward.to_owned(), ..JweDecryptConfig::default() }
}

fn sealed(header: &str, text: &[u8]) -> String {
    JweKey::new(&JweDecryptCredential::new("k", SECRET)).unwrap().seal(header, text)
}

fn token(text: &[u8]) -> String {
    sealed(r#"{"alg":"dir","enc":"A256GCM","kid":"k"}"#, text)
}

fn request(tokens: &[&str]) -> Request<()> {
    let mut request = Request::new(());
    for token in tokens {
        request.headers_mut().append("authorization", HeaderValue::from_str(token).unwrap());
    }
    request
}

#[test]
fn what_is_in_a_token_goes_on() {
    let good = token(b"Bearer a.b.c");
    for value in [good.clone(), format!("Bearer {good}"), format!("bEARER   {good}")] {
        let mut opened = request(&[&value]);
        gate("authorization", true).check(&mut opened).unwrap();
        assert_eq!(opened.headers()["authorization"], "Bearer a.b.c");
        assert!(Consumer::of(&opened).is_none());
        let mut beside = request(&[&value]);
        beside.headers_mut().insert("x-claims", HeaderValue::from_static("forged"));
        gate("X-Claims", true).check(&mut beside).unwrap();
        assert_eq!(
            (&beside.headers()["x-claims"], beside.headers().len()),
            (&HeaderValue::from_static("Bearer a.b.c"), 2)
        );
    }
}

#[test]
fn everything_else_is_refused_as_the_catalogue_words_it() {
    let other = JweKey::new(&JweDecryptCredential::new("k", SECRET.replace('0', "1"))).unwrap();
    let foreign = other.seal(r#"{"alg":"dir","enc":"A256GCM","kid":"k"}"#, b"x");
    for (token, status, message) in [
        (None, 403, "missing JWE token in request"),
        (Some("a.b.c".to_owned()), 400, "JWE token invalid"),
        (Some("Basic eA==".to_owned()), 400, "JWE token invalid"),
        (Some(sealed(r#"{"alg":"dir","enc":"A256GCM"}"#, b"x")), 400, "missing kid in JWE token"),
        (Some(sealed(r#"{"alg":"dir","enc":"A256GCM","kid":"K"}"#, b"x")), 400, "invalid kid in JWE token"),
        (Some(sealed(r#"{"alg":"none","enc":"A256GCM","kid":"k"}"#, b"x")), 400, "failed to decrypt JWE token"),
        (Some(foreign), 400, "failed to decrypt JWE token"),
        (Some(token(b"a\r\nx-evil: 1")), 400, "failed to decrypt JWE token"),
    ] {
        let mut refused = request(token.as_deref().as_slice());
        let answer = gate("authorization", true).check(&mut refused).unwrap_err();
        assert_eq!(answer.status(), status, "{token:?}");
        assert_eq!(answer.body().as_bytes().unwrap(), format!("{{\"message\":\"{message}\"}}\n").as_bytes());
    }
    let good = token(b"x");
    assert_eq!(gate("authorization", true).check(&mut request(&[&good, &good])).unwrap_err().status(), 400);
}

#[test]
fn without_strict_a_request_may_have_no_token_and_then_says_nothing() {
    let mut open = request(&[]);
    open.headers_mut().insert("x-claims", HeaderValue::from_static("forged"));
    gate("x-claims", false).check(&mut open).unwrap();
    assert!(open.headers().is_empty());
    assert_eq!(gate("x-claims", false).check(&mut request(&["a.b"])).unwrap_err().status(), 400);
}

#[test]
fn sec_hop_05_what_a_token_says_is_no_clients_to_send() {
    let fields = |header: &str, forward: &str| {
        let config = config(header, forward);
        JweDecryptPlugin.identity_fields(&config).len()
    };
    assert_eq!(fields("Authorization", "X-Claims"), 1);
    assert_eq!(fields("X-Token", "x-token"), 0);
    assert_eq!(fields("X-Token", "Authorization"), 0);
    assert_eq!(fields("X-Token", "Content-Type"), 0, "it would come off on every route");
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let fields = |config: &JweDecryptConfig| {
        JweDecryptPlugin.caveats(config).into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    assert!(fields(&JweDecryptConfig::default()).is_empty());
    let open = JweDecryptConfig { unauthenticated_header: true, ..config("X-Token", "X-Claims") };
    assert_eq!(fields(&open), ["unauthenticated_header", "forward_header"]);
}

#[test]
fn a_token_that_vouches_for_less_opens_where_that_is_asked_for() {
    let key = JweKey::new(&JweDecryptCredential::new("k", SECRET)).unwrap();
    let token = key.seal_as(r#"{"kid":"k"}"#, b"x", false);
    for (unauthenticated_header, status) in [(true, None), (false, Some(400))] {
        let config = JweDecryptConfig { unauthenticated_header, ..JweDecryptConfig::default() };
        let answer = JweDecrypt::new(config, consumers()).unwrap().check(&mut request(&[&token]));
        assert_eq!(answer.err().map(|answer| answer.status().as_u16()), status);
    }
}

#[test]
fn blocks_that_cannot_work_are_refused_by_field() {
    let refused = |header: &str, forward: &str| {
        let config = config(header, forward);
        JweDecrypt::new(config, consumers()).unwrap_err().field().to_owned()
    };
    assert_eq!((refused("a b", "x"), refused("x", "Host")), ("header".to_owned(), "forward_header".to_owned()));
    let judge = |key: &str, secret: &str, is_base64_encoded| {
        let block = JweDecryptCredential { key: key.to_owned(), secret: secret.into(), is_base64_encoded };
        JweDecryptPlugin.credential(block).map(|_| ()).map_err(|error| error.field().to_owned())
    };
    assert_eq!(judge("", SECRET, false).unwrap_err(), "key");
    for (secret, is_base64) in [(&SECRET[1..], false), ("", false), (SECRET, true), ("/+==", true), ("/+!=", true)] {
        assert_eq!(judge("k", secret, is_base64).unwrap_err(), "secret", "{secret}");
    }
    for secret in [URL_SAFE_NO_PAD.encode(SECRET), URL_SAFE.encode(SECRET), STANDARD.encode([0xfb; 32])] {
        judge("k", &secret, true).unwrap();
    }
    assert!(STANDARD.encode([0xfb; 32]).contains(['+', '/']));
    let scope = Scope::Code;
    assert!(JweDecryptPlugin.authenticator(JweDecryptConfig::default(), &BuildContext::new(&scope)).is_err());
}
