//! `jwe-decrypt` as its example has it.
use super::support::{Rig, refused, route_with, said};

/// `{"sub":"7"}` for the example's consumer, sealed by Python's `cryptography`.
pub(super) const TOKEN: &str = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiYWNtZS1rZXkifQ..AgICAgICAgICAgIC.sy71iZx_Tglij1g.JEWs9eaXunNfLhtnhZNS8w";

/// The header of that token, with `none` as its `alg`.
const NO_ALG: &str = "eyJhbGciOiJub25lIiwiZW5jIjoiQTI1NkdDTSIsImtpZCI6ImFjbWUta2V5In0";

#[tokio::test]
async fn the_origin_gets_what_is_in_the_token() {
    let rig = Rig::example("jwe-decrypt").await;
    let fields = [("Authorization", &*format!("Bearer {TOKEN}")), ("X-Claims", "forged")];
    assert_eq!(rig.get("/claims/1", &fields).await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!((seen.all("x-claims"), seen.field("x-consumer-username")), (vec!["{\"sub\":\"7\"}"], None));
}

#[tokio::test]
async fn everything_else_is_refused() {
    let rig = Rig::example("jwe-decrypt").await;
    for (token, status, message) in [
        (None, 403, "missing JWE token in request"),
        (Some("Bearer x"), 400, "JWE token invalid"),
        (Some(&*TOKEN.replacen("AgIC", "AgID", 1)), 400, "failed to decrypt JWE token"),
        (Some(&*format!("{NO_ALG}{}", &TOKEN[TOKEN.find("..").unwrap()..])), 400, "failed to decrypt JWE token"),
    ] {
        let fields: Vec<_> = token.iter().map(|token| ("Authorization", *token)).collect();
        let answer = rig.get("/claims/1", &fields).await;
        assert_eq!((answer.status(), said(&answer, "message").as_str()), (status, message), "{token:?}");
    }
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn a_token_of_apisix_opens_where_that_is_asked_for() {
    // out of its own tests
    const TOKEN: &str = "eyJraWQiOiJ1c2VyLWtleSIsImFsZyI6ImRpciIsImVuYyI6IkEyNTZHQ00ifQ..MTIzNDU2Nzg5MDEy.6JeRgm0.rNt131nG5wMvUD1KXbwLGA";
    for (block, status) in [("{unauthenticated_header: true}", 200), ("{}", 400)] {
        let yaml = format!(
            "consumers: [{{username: jack, plugins: {{jwe-decrypt: {{key: user-key, \
             secret: '12345678901234567890123456789012'}}}}}}]\n{}",
            route_with(&format!("{{jwe-decrypt: {block}}}"))
        );
        let rig = Rig::of(&yaml).await;
        assert_eq!(rig.get("/", &[("Authorization", TOKEN)]).await.status(), status, "{block}");
        if status == 200 {
            assert_eq!(rig.forwarded().field("authorization"), Some("hello"));
        }
    }
}

#[test]
fn faults_are_named_by_their_place() {
    let consumer = |block: &str| format!("consumers: [{{username: a, plugins: {{jwe-decrypt: {block}}}}}]\n");
    for (document, says) in [
        (route_with("{jwe-decrypt: {forward_header: Content-Length}}"), "plugins.jwe-decrypt.forward_header"),
        (consumer("{key: k, secret: canary-7}"), "the secret length must be 32"),
        (consumer("{key: k}"), "missing field `secret`"),
        (route_with("{multi-auth: {auth_plugins: [{jwe-decrypt: {}}, {key-auth: {}}]}}"), "identifies no consumer"),
    ] {
        let faults = refused(&document);
        assert!(faults.contains(says), "{says} is not in\n{faults}");
        assert!(!faults.contains("canary"), "{faults}");
    }
}
