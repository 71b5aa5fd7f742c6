//! `hmac-auth` as its example has it, and what it refuses.
use std::time::SystemTime;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::support::{Rig, refused, route_with, said};

const REFUSED: &str = "client request can't be validated";

fn date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

fn digest_of(body: &[u8]) -> String {
    format!("SHA-256={}", STANDARD.encode(digest::digest(&digest::SHA256, body)))
}

/// `Authorization` over these lines behind the key id.
fn authorization(headers: &str, lines: &[&str]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a-secret-of-acme");
    let message = format!("acme-key\n{}\n", lines.join("\n"));
    let signature = STANDARD.encode(hmac::sign(&key, message.as_bytes()));
    format!(r#"Signature keyId="acme-key",algorithm="hmac-sha256",headers="{headers}",signature="{signature}""#)
}

#[tokio::test]
async fn another_body_or_target_under_the_same_signature_is_refused() {
    let rig = Rig::example("hmac-auth").await;
    let (date, body) = (date(), b"{\"amount\": 7}");
    let digest = digest_of(body);
    let value = authorization(
        "@request-target host date digest",
        &["POST /payments/7?a=%2F", "host: gw.test", &format!("date: {date}"), &format!("digest: {digest}")],
    );
    let fields = [("Date", date.as_str()), ("Digest", digest.as_str()), ("Authorization", value.as_str())];
    let send = |line: &'static str, body: &'static [u8]| {
        rig.ask_bytes(line, fields.iter().map(|(name, value)| (*name, value.as_bytes())), body)
    };
    let changed = send("POST /payments/7?a=%2F", b"{\"amount\": 8}").await;
    assert_eq!((changed.status(), said(&changed, "message").as_str()), (401, REFUSED));
    assert_eq!(changed.field("www-authenticate"), Some("hmac realm=\"hmac\""));
    assert_eq!(send("POST /payments/8?a=%2F", b"{\"amount\": 7}").await.status(), 401);
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn sec_auth_06_a_signature_counts_once() {
    let rig = Rig::example("hmac-auth").await;
    let (date, body) = (date(), b"{\"amount\": 7}");
    let digest = digest_of(body);
    let lines = ["POST /payments/7", "host: gw.test", &format!("date: {date}"), &format!("digest: {digest}")];
    let value = authorization("@request-target host date digest", &lines);
    let fields = [("Date", &*date), ("Digest", &*digest), ("Authorization", &*value)];
    for status in [200, 401] {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        assert_eq!(rig.ask_bytes("POST /payments/7", fields, body).await.status(), status);
    }
    let seen = rig.forwarded();
    assert_eq!((rig.forwarded_count(), seen.body.as_slice()), (1, &body[..]));
    assert_eq!((seen.field("x-consumer-username"), seen.field("authorization")), (Some("acme"), None));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let rig = Rig::example("hmac-auth").await;
    let (date, body) = (date(), vec![b'x'; (1 << 20) + 1]);
    let digest = digest_of(&body);
    let lines = ["POST /payments/7", "host: gw.test", &format!("date: {date}"), &format!("digest: {digest}")];
    let value = authorization("@request-target host date digest", &lines);
    let fields = [("Date", &*date), ("Digest", &*digest), ("Authorization", &*value)];
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    assert_eq!(rig.ask_bytes("POST /payments/7", fields, &body).await.status(), 413);
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn the_target_counts_as_sent_and_as_it_is_read() {
    let rig = Rig::example("hmac-auth").await;
    let sent = "/reports/%61/./b?q=%2f";
    for (signed, taken) in
        [(sent, true), ("/reports/a/b?q=%2f", true), ("/reports/a/b?q=/", false), ("/reports/b", false)]
    {
        let date = date();
        let value = authorization("@request-target date", &[&format!("GET {signed}"), &format!("date: {date}")]);
        let answer = rig.get(sent, &[("Date", &date), ("Authorization", &value)]).await;
        assert_eq!(answer.status() == 200, taken, "{signed}");
    }
}

#[tokio::test]
async fn who_does_not_sign_is_told_no_more_than_that() {
    let rig = Rig::example("hmac-auth").await;
    let date = date();
    let undated = authorization("x-a", &["x-a: 1"]);
    let unknown = authorization("date", &[&format!("date: {date}")]).replace("acme-key", "other");
    for (value, message) in [
        (None, "client request can't be validated: missing Authorization header"),
        (Some("Basic a"), "client request can't be validated: Authorization header does not start with 'Signature'"),
        (Some(&*undated), REFUSED),
        (Some(&*unknown), REFUSED),
    ] {
        let mut fields = vec![("Date", &*date), ("X-A", "1")];
        fields.extend(value.map(|value| ("Authorization", value)));
        let answer = rig.get("/reports/1", &fields).await;
        assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, message), "{value:?}");
    }
}

#[test]
fn faults_are_named_by_their_place() {
    let consumer = |block: &str| format!("consumers: [{{username: a, plugins: {{hmac-auth: {block}}}}}]\n");
    for (document, says) in [
        (route_with("{hmac-auth: {allowed_algorithms: []}}"), "plugins.hmac-auth.allowed_algorithms"),
        (route_with("{hmac-auth: {allowed_algorithms: [hmac-md5]}}"), "plugins.hmac-auth.allowed_algorithms.0"),
        (route_with("{hmac-auth: {clock_skew: 0}}"), "plugins.hmac-auth.clock_skew"),
        (route_with("{hmac-auth: {clock_skew: -1}}"), "plugins.hmac-auth.clock_skew"),
        (route_with("{hmac-auth: {signed_headers: [date, '']}}"), "plugins.hmac-auth.signed_headers.1"),
        (consumer("{key_id: k}"), "missing field `secret_key`"),
        (consumer("{key_id: '', secret_key: canary-7}"), "plugins.hmac-auth.key_id"),
    ] {
        let faults = refused(&document);
        assert!(faults.contains(says), "{says} is not in\n{faults}");
        assert!(!faults.contains("canary"), "{faults}");
    }
}
