//! `authz-keycloak` as its example has it, before a double of Keycloak that answers as its documentation says.
use tollgate::gateway::Gateway;

use super::peers::origin::Origin;
use super::support::{Rig, example, refused, route_with, said};

/// What stands for Keycloak in the example.
const KEYCLOAK: &str = "127.0.0.1:8080";

async fn rig(keycloak: &Origin) -> Rig {
    let yaml = example("authz-keycloak").replace(KEYCLOAK, &keycloak.address().to_string());
    Rig::with(Gateway::builder(), &yaml).await
}

#[tokio::test]
async fn the_example_lets_pass_what_keycloak_allows() {
    let keycloak = Origin::saying("{\"result\":true}").await;
    let rig = rig(&keycloak).await;
    assert_eq!(rig.get("/orders/1", &[("Authorization", "Bearer h.claims.s")]).await.status(), 200);
    let question = keycloak.request();
    assert_eq!((question.method(), question.target()), ("POST", "/realms/shop/protocol/openid-connect/token"));
    assert_eq!(question.all("authorization"), ["Bearer h.claims.s"]);
    assert!(question.body.ends_with(b"&audience=orders&response_mode=decision&permission=orders%23read"));
    let answer = rig.get("/orders/1", &[]).await;
    assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, "Missing JWT token in request"));
    assert_eq!(rig.forwarded_count(), 1);
}

#[tokio::test]
async fn the_example_tells_the_client_what_keycloak_says() {
    let keycloak =
        Origin::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 25\r\n\r\n{\"error\":\"access_denied\"}").await;
    let denied = rig(&keycloak).await;
    let answer = denied.get("/orders/1", &[("Authorization", "Bearer h.claims.s")]).await;
    assert_eq!((answer.status(), said(&answer, "error").as_str()), (403, "access_denied"));
    let address = keycloak.address();
    drop(keycloak);
    let away = Rig::of(&example("authz-keycloak").replace(KEYCLOAK, &address.to_string())).await;
    let answer = away.get("/orders/1", &[("Authorization", "Bearer h.claims.s")]).await;
    assert_eq!((answer.status(), answer.body.len()), (503, 0));
    assert_eq!((denied.forwarded_count(), away.forwarded_count()), (0, 0));
}

#[tokio::test]
async fn keycloak_is_asked_about_the_path_that_the_client_sent() {
    // an answer to each grant: the gateway's own token, and a yes
    let tokens = Origin::saying("{\"result\":true,\"access_token\":\"own\",\"expires_in\":60}").await;
    let resources = Origin::saying("[\"r-1\"]").await;
    let rig = Rig::of(&route_with(&format!(
        "{{authz-keycloak: {{client_id: orders, client_secret: s, token_endpoint: 'http://{}/token', lazy_load_paths: true, \
         resource_registration_endpoint: 'http://{}/resources', password_grant_token_generation_incoming_uri: /api/token}}, \
         proxy-rewrite: {{regex_uri: [\"^/api/(.*)\", \"/$1\"]}}}}",
        tokens.address(),
        resources.address()
    )))
    .await;
    let answer = rig.get("/api/x/../orders/%31?page=2", &[("Authorization", "Bearer h.claims.s")]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(rig.forwarded().target(), "/orders/1?page=2");
    assert_eq!(resources.request().target(), "/resources?uri=%2Fapi%2Forders%2F1&matchingUri=true");
    let form: &[u8] = b"application/x-www-form-urlencoded";
    let answer = rig.ask_bytes("POST /api/token", [("Content-Type", form)], b"username=a&password=b").await;
    assert_eq!((answer.status(), answer.field("cache-control")), (200, Some("no-store")));
    assert!(tokens.requests().pop().unwrap().body.starts_with(b"grant_type=password&client_id=orders"));
    assert_eq!(rig.forwarded_count(), 1);
}

#[tokio::test]
async fn the_path_for_passwords_is_the_clients() {
    let keycloak = Origin::saying("{\"access_token\":\"t\"}").await;
    let block = format!(
        "{{client_id: c, client_secret: s, token_endpoint: 'http://{}', password_grant_token_generation_incoming_uri: /token}}",
        keycloak.address()
    );
    let rig = Rig::of(&route_with(&format!("{{proxy-rewrite: {{uri: /other}}, authz-keycloak: {block}}}"))).await;
    let form = [("Content-Type", &b"application/x-www-form-urlencoded"[..])];
    let answer = rig.ask_bytes("POST /token?a", form, b"username=a&password=b").await;
    assert_eq!((answer.status(), said(&answer, "access_token").as_str()), (200, "t"));
    assert_eq!(rig.ask_bytes("POST /other", form, b"username=a&password=b").await.status(), 401);
}

#[test]
fn a_faulty_block_is_refused_with_its_field() {
    let faults = refused(&route_with("{authz-keycloak: {client_id: c}}"));
    assert!(faults.contains("plugins.authz-keycloak.discovery"), "{faults}");
}
