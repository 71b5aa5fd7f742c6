//! `openid-connect` in a whole gateway without its provider: how it fails. `tests/real_oidc.rs` has the rest.
use super::support::{Rig, refused, route_with, said};

#[tokio::test]
async fn the_example_lets_nobody_pass_without_its_provider() {
    let rig = Rig::example("openid-connect").await;
    let answer = rig.get("/api/orders", &[]).await;
    assert_eq!((answer.status(), answer.field("www-authenticate")), (401, Some("Bearer realm=\"tollgate\"")));
    assert_eq!(said(&answer, "message"), "No bearer token found in request.");
    assert_eq!(rig.get("/api/orders", &[("Authorization", "Bearer a.b.c")]).await.status(), 401);
    for target in ["/shop/", "/shop/data/1", "/shop/logout"] {
        assert_eq!(rig.get(target, &[]).await.status(), 503, "{target}");
    }
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn a_giant_cookie_or_token_is_refused() {
    let rig = Rig::example("openid-connect").await;
    let giant = "x".repeat(9000);
    assert_eq!(rig.get("/api/orders", &[("Authorization", &format!("Bearer {giant}"))]).await.status(), 431);
    assert_eq!(rig.get("/shop/", &[("Cookie", &format!("a={giant}"))]).await.status(), 431);
}

#[tokio::test]
async fn a_faulty_block_is_refused_with_its_field() {
    for (block, says) in [
        ("{client_id: c, discovery: \"http://a/d\"}", "property \"client_secret\" is required"),
        (
            "{client_id: c, client_secret: s, discovery: \"http://a/d\"}",
            "property \"session.secret\" is required when \"bearer_only\" is false",
        ),
        (
            "{client_id: c, client_secret: s, discovery: \"http://a/d\", bearer_only: true, accept_none_alg: true}",
            "accept_none_alg",
        ),
        ("{client_id: c, client_secret: s, discovery: \"http://a/d\", bearer_onyl: true}", "bearer_onyl"),
    ] {
        let faults = refused(&route_with(&format!("{{openid-connect: {block}}}")));
        assert!(faults.contains(says), "{block}: {faults}");
    }
}
