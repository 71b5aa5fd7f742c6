//! `jwt-auth` as its example has it, and what it refuses.
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::support::{Rig, refused, route_with, said};

const SECRET: &[u8] = b"a-secret-of-at-least-32-random-bytes";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn token(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

/// The key pair of RFC 8037 A.1, whose public half the example has.
fn ed25519() -> EncodingKey {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let mut pkcs8 = STANDARD.decode("MC4CAQAwBQYDK2VwBCIEIA==").unwrap();
    pkcs8.extend(seed);
    EncodingKey::from_ed_der(&pkcs8)
}

#[tokio::test]
async fn a_token_names_the_consumer_wherever_it_stands() {
    let rig = Rig::example("jwt-auth").await;
    let web = token(&json!({"key": "acme-web", "exp": now() + 60, "mail": "a@acme.test"}));
    let batch = json!({"key": "acme-batch", "exp": now() - 5});
    let batch = encode(&Header::new(Algorithm::EdDSA), &batch, &ed25519()).unwrap();
    let (bearer, crumbs) = (format!("Bearer {web}"), format!("a=1; jwt={web}; b=2"));
    let argument = format!("/account/1?jwt={web}&a=1");
    for (target, field, forwarded, credential, mail) in [
        ("/account/1", Some(("Authorization", &bearer)), "/account/1", None, Some("a@acme.test")),
        ("/account/1", Some(("Authorization", &batch)), "/account/1", Some("batch-service"), None),
        ("/account/1", Some(("Cookie", &crumbs)), "/account/1", None, Some("a@acme.test")),
        (&argument, None, "/account/1?a=1", None, Some("a@acme.test")),
    ] {
        let mut fields = vec![("X-User-Mail", "spoofed")];
        fields.extend(field.map(|(name, value)| (name, value.as_str())));
        assert_eq!(rig.get(target, &fields).await.status(), 200, "{target} {field:?}");
        let seen = rig.forwarded();
        assert_eq!((seen.target(), seen.field("authorization")), (forwarded, None));
        assert_eq!(
            (seen.field("x-consumer-username"), seen.field("x-credential-identifier")),
            (Some("acme"), credential)
        );
        assert_eq!(seen.field("x-user-mail"), mail);
        assert_eq!(seen.field("cookie"), field.filter(|(name, _)| *name == "Cookie").map(|_| "a=1; b=2"));
    }
}

#[tokio::test]
async fn everything_else_is_refused() {
    let rig = Rig::example("jwt-auth").await;
    let later = now() + 60;
    let other = EncodingKey::from_secret(b"another secret");
    let none = format!("{}.", token(&json!({"key": "acme-web", "exp": later})).rsplit_once('.').unwrap().0);
    let unsigned = none.replacen(none.split('.').next().unwrap(), &URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), 1);
    for (value, message) in [
        (None, "Missing JWT token in request"),
        (Some("Bearer nonsense".to_owned()), "JWT token invalid"),
        (Some(token(&json!({"exp": later}))), "missing user key in JWT token"),
        (Some(token(&json!({"key": "nobody", "exp": later}))), "Invalid user key in JWT token"),
        (Some(token(&json!({"key": "acme-web"}))), "failed to verify jwt"),
        (Some(token(&json!({"key": "acme-web", "exp": now() - 1}))), "failed to verify jwt"),
        (Some(token(&json!({"key": "acme-batch", "exp": later}))), "failed to verify jwt"),
        (
            Some(encode(&Header::default(), &json!({"key": "acme-web", "exp": later}), &other).unwrap()),
            "failed to verify jwt",
        ),
        (Some(unsigned), "failed to verify jwt"),
    ] {
        let fields: Vec<_> = value.iter().map(|value| ("Authorization", value.as_str())).collect();
        let answer = rig.get("/account/1", &fields).await;
        assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, message), "{value:?}");
        assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"jwt\""));
    }
    assert_eq!(rig.forwarded_count(), 0);
}

#[test]
fn faults_are_named_by_their_place() {
    let consumer = |block: &str| format!("consumers: [{{username: a, plugins: {{jwt-auth: {block}}}}}]\n");
    for (document, says) in [
        (route_with("{jwt-auth: {claims_to_verify: [iat]}}"), "plugins.jwt-auth.claims_to_verify.0"),
        (route_with("{jwt-auth: {claims_to_verify: [exp, exp]}}"), "plugins.jwt-auth.claims_to_verify"),
        (route_with("{jwt-auth: {key_claim_name: ''}}"), "plugins.jwt-auth.key_claim_name"),
        (consumer("{key: k}"), "property \"secret\" is required when using HS based algorithms"),
        (
            consumer("{key: k, secret: '?', base64_secret: true}"),
            "base64_secret required but the secret is not in base64",
        ),
        (consumer("{key: k, algorithm: RS256}"), "plugins.jwt-auth.public_key"),
        (consumer("{key: k, secret: s, algorithm: none}"), "plugins.jwt-auth.algorithm"),
        (consumer("{key: k, secret: s, exp: 0}"), "plugins.jwt-auth.exp"),
        (consumer("{secret: canary-7}"), "plugins.jwt-auth.key"),
    ] {
        let faults = refused(&document);
        assert!(faults.contains(says), "{says} is not in\n{faults}");
        assert!(!faults.contains("canary"), "{faults}");
    }
}
