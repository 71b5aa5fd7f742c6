//! Requests that bring a token.
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::provider::SECRET;
use super::rig::{Rig, decoded, merged};

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The claims of a good token, with changes; `null` removes one.
pub(crate) fn claims(rig: &Rig, changes: Value) -> Value {
    let good = json!({"iss": rig.provider.issuer, "sub": "u", "aud": "api", "iat": now(), "exp": now() + 300, "scope": "read write"});
    let mut claims = merged(good, changes);
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[tokio::test]
async fn tokens_are_verified_with_the_providers_keys() {
    let rig = Rig::start().await;
    rig.protect(rig.bearer(json!({"client_secret": null, "use_jwks": true, "required_scopes": ["read"]})));
    let token = rig.provider.token("jwt", "read").await;
    let told = rig.with_token(&token).await.json();
    assert_eq!(told["x-access-token"], token);
    let user = decoded(&told["x-userinfo"]);
    assert_eq!((&user["client_id"], &user["aud"]), (&json!("jwt"), &json!("https://api.test")));
    // the other place
    assert_eq!(rig.with_fields(&[("x-access-token", &token)]).await.status, 200);
    for _ in 0..5 {
        rig.with_token(&token).await;
    }
    assert_eq!(rig.provider.count("/jwks").await, 1, "keys are kept");

    let answer = rig.with_fields(&[]).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer realm=\"tollgate\""));
    for malformed in ["one-word", "Bearer"] {
        assert_eq!(rig.with_fields(&[("authorization", malformed)]).await.status, 400, "{malformed}");
    }
    assert_eq!(rig.with_fields(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]).await.status, 400);
    let answer = rig.with_token("not.a.token").await;
    let expected = "Bearer realm=\"tollgate\", error=\"invalid_token\", error_description=\"the token is malformed\"";
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, expected));
    let answer = rig.with_token(&rig.provider.token("jwt", "write").await).await;
    assert_eq!((answer.status, answer.body.as_str()), (403, "{\"error\":\"required scopes read not present\"}\n"));
}

#[tokio::test]
async fn new_keys_are_found_at_once_and_old_ones_are_gone() {
    let rig = Rig::start().await;
    rig.protect(rig.bearer(json!({"use_jwks": true})));
    let old = rig.provider.token("jwt", "read").await;
    assert_eq!(rig.with_token(&old).await.status, 200);
    rig.provider.rotate().await;
    let new = rig.provider.token("jwt", "read").await;
    assert_eq!(rig.with_token(&new).await.status, 200);
    assert_eq!(rig.with_token(&old).await.status, 401);
    let asked = rig.provider.count("/jwks").await;
    // unknown keys do not make the gateway a flood for the provider
    for id in 0..20 {
        let token =
            rig.provider.sign(json!({"header": {"kid": format!("k{id}")}, "payload": claims(&rig, json!({}))})).await;
        assert_eq!(rig.with_token(&token).await.status, 401);
    }
    assert_eq!(rig.provider.count("/jwks").await, asked);
}

#[tokio::test]
async fn tokens_are_verified_with_a_key_of_the_block() {
    let rig = Rig::start().await;
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let key = rig.provider.public_key(algorithm).await;
        rig.protect(rig.bearer(json!({"client_secret": null, "public_key": key})));
        let token = rig.provider.sign(json!({"alg": algorithm, "payload": claims(&rig, json!({}))})).await;
        assert_eq!(rig.with_token(&token).await.status, 200, "{algorithm}");
        let other = if algorithm == "RS256" { "ES256" } else { "RS256" };
        let token = rig.provider.sign(json!({"alg": other, "payload": claims(&rig, json!({}))})).await;
        assert_eq!(rig.with_token(&token).await.status, 401, "{algorithm} {other}");
    }
    assert_eq!(rig.provider.count("/jwks").await, 0);
}

#[tokio::test]
async fn the_provider_is_asked_about_opaque_tokens_once() {
    let rig = Rig::start().await;
    rig.protect(rig.bearer(json!({"required_scopes": ["read"], "introspection_addon_headers": ["X-Trace"]})));
    let token = rig.provider.token("opaque", "read").await;
    let told = rig.with_token(&token).await;
    assert_eq!((told.status, decoded(&told.json()["x-userinfo"])["client_id"].as_str()), (200, Some("opaque")));
    for _ in 0..5 {
        assert_eq!(rig.with_token(&token).await.status, 200);
    }
    assert_eq!(rig.provider.count("/token/introspection").await, 1);
    assert_eq!(rig.with_token(&rig.provider.token("opaque", "write").await).await.status, 403);
    for _ in 0..2 {
        let answer = rig.with_token("unknown").await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").contains("the token is not active"), "{answer:?}");
    }
    assert_eq!(rig.provider.count("/token/introspection").await, 4, "a refusal is not kept");
}

#[tokio::test]
async fn an_interval_bounds_for_how_long_a_revoked_token_is_taken() {
    let rig = Rig::start().await;
    rig.protect(rig.bearer(json!({"introspection_interval": 1})));
    let token = rig.provider.token("opaque", "read").await;
    assert_eq!(rig.with_token(&token).await.status, 200);
    rig.provider.revoke("opaque", &token).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while rig.with_token(&token).await.status == 200 {
        assert!(std::time::Instant::now() < deadline, "a revoked token is taken for ever");
    }
}

#[tokio::test]
async fn claims_are_looked_at() {
    let rig = Rig::start().await;
    let jwks = |changes| rig.bearer(merged(json!({"use_jwks": true}), changes));
    let audience = |changes| jwks(json!({"claim_validator": {"audience": changes}}));
    let issuers = jwks(json!({"claim_validator": {"issuer": {"valid_issuers": ["https://other.test"]}}}));
    let schema = jwks(json!({"claim_schema": {"type": "object", "required": ["tier"]}}));
    for (block, changes, status, says) in [
        (audience(json!({"required": true})), json!({}), 200, ""),
        (audience(json!({"required": true})), json!({"aud": null}), 403, "required audience claim not present"),
        (audience(json!({"match_with_client_id": true})), json!({}), 403, "mismatched audience"),
        (audience(json!({"match_with_client_id": true})), json!({"aud": ["x", "web"]}), 200, ""),
        (audience(json!({"match_with_client_id": true})), json!({"aud": null}), 200, ""),
        (audience(json!({"claim": "for", "match_with_client_id": true})), json!({"for": "web"}), 200, ""),
        (issuers.clone(), json!({"iss": "https://other.test"}), 200, ""),
        (issuers.clone(), json!({}), 401, "issued by somebody else"),
        (issuers, json!({"iss": null}), 401, "issued by somebody else"),
        (jwks(json!({})), json!({"iss": "https://other.test"}), 401, "issued by somebody else"),
        (schema.clone(), json!({"tier": "gold"}), 200, ""),
        (schema, json!({}), 401, "a claim of the token is missing or wrong"),
        (jwks(json!({"required_scopes": ["a"]})), json!({"scope": ["a", "b"]}), 200, ""),
        (jwks(json!({"required_scopes": ["a"]})), json!({"scope": null, "scp": "a"}), 200, ""),
        (jwks(json!({"required_scopes": ["a"]})), json!({"scope": null}), 403, "required scopes a not present"),
    ] {
        rig.protect(block.clone());
        let token = rig.provider.sign(json!({"payload": claims(&rig, changes.clone())})).await;
        let answer = rig.with_token(&token).await;
        assert_eq!(answer.status, status, "{block} {changes}: {answer:?}");
        assert!(answer.body.contains(says), "{block} {changes}: {answer:?}");
    }
}

#[tokio::test]
async fn a_token_goes_before_a_session_and_without_one_people_log_in() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({"use_jwks": true, "access_token_in_authorization_header": true})));
    let token = rig.provider.token("jwt", "read").await;
    assert_eq!(rig.with_token(&token).await.json()["authorization"], format!("Bearer {token}"));
    assert_eq!(rig.with_token("broken").await.status, 401);
    assert_eq!(rig.with_fields(&[("authorization", "Basic YTpi")]).await.status, 302);
    let page = super::browser::Browser::new().log_in(&rig.at("/"), "alice").await.json();
    assert!(page["authorization"].as_str().unwrap().starts_with("Bearer "));
    assert_eq!(page.get("x-access-token"), None);
}

#[tokio::test]
async fn sec_auth_09_without_its_provider_every_token_is_refused() {
    let rig = Rig::start().await;
    let (jwt, opaque) = (rig.provider.token("jwt", "read").await, rig.provider.token("opaque", "read").await);
    let key = rig.provider.public_key("RS256").await;
    rig.provider.stop().await;
    for (changes, token) in [
        (json!({"use_jwks": true}), &jwt),
        (json!({}), &opaque),
        (json!({"public_key": key, "client_secret": SECRET}), &jwt),
    ] {
        rig.protect(rig.bearer(changes.clone()));
        let answer = rig.with_token(token).await;
        assert_eq!(answer.status, 401, "{changes}");
        assert!(answer.header("www-authenticate").contains("cannot be verified now"), "{answer:?}");
    }
}
