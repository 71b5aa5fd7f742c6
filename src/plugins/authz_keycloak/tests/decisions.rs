use std::sync::atomic::Ordering::SeqCst;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::super::*;
use super::realm::{FORGED, GOOD, POOR, Realm, get, request};
use crate::plugins::testing::{ask, built};

#[tokio::test]
async fn keycloak_decides_about_listed_permissions() {
    let realm = Realm::start().await;
    let layer = realm.layer(json!({"permissions": ["orders#read", "log"]}));
    for token in [GOOD, "h.good.s"] {
        assert_eq!(get(&layer, token).await.status(), 200);
    }
    let asked = realm.asked();
    assert_eq!(asked.iter().filter(|(line, ..)| line == "GET /uma").count(), 1, "the document is kept");
    let (_, bearer, form) = asked.iter().find(|(line, ..)| line == "POST /token").unwrap();
    assert_eq!(bearer.as_deref(), Some(GOOD));
    assert_eq!(
        form,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Auma-ticket&audience=orders&response_mode=decision\
         &permission=orders%23read&permission=log"
    );
}

#[tokio::test]
async fn a_method_is_the_scope_of_a_resource_and_no_method_leads_past_it() {
    let realm = Realm::start().await;
    let layer = realm.layer(json!({"permissions": ["orders"], "http_method_as_scope": true}));
    let ask = async |method: &str| ask(&layer, request(method, "/orders/1", Some(GOOD))).await.status();
    assert_eq!((ask("GET").await, ask("DELETE").await), (200, 403));
    assert!(realm.asked().iter().any(|(.., form)| form.ends_with("&permission=orders%23GET")));
    for method in ["#", "##", "GET#", "#GET", "GET,read"] {
        let Ok(method) = http::Method::from_bytes(method.as_bytes()) else { continue };
        assert_eq!(ask(method.as_str()).await, 403, "{method}");
    }
    assert!(realm.asked().is_empty(), "Keycloak would read something else");
}

#[tokio::test]
async fn a_refusal_of_keycloak_is_passed_on_or_leads_elsewhere() {
    let realm = Realm::start().await;
    let refused = realm.layer(json!({"permissions": ["secret"]}));
    let answer = get(&refused, GOOD).await;
    assert_eq!((answer.status(), answer.body()), (403, "{\"error\":\"access_denied\"}"));
    for (field, value) in [
        ("content-type", Some("application/json")),
        ("cache-control", Some("no-cache")),
        ("www-authenticate", Some("Bearer error=\"any\"")),
        ("retry-after", Some("7")),
        ("set-cookie", None),
    ] {
        assert_eq!(answer.header(field).as_deref(), value, "{field}");
    }
    let stranger = get(&refused, FORGED).await;
    assert_eq!((stranger.status(), stranger.body()), (401, "{\"error\":\"invalid_token\"}"));
    let elsewhere = realm.layer(json!({"permissions": ["secret"], "access_denied_redirect_uri": "/denied"}));
    let answer = get(&elsewhere, GOOD).await;
    assert_eq!((answer.status(), answer.header("location").as_deref()), (307, Some("/denied")));
    let odd = realm.layer(json!({"permissions": ["odd"]}));
    assert_eq!(get(&odd, GOOD).await.status(), 503, "a yes is `true` and nothing else");
}

#[tokio::test]
async fn what_is_no_token_is_not_asked_about() {
    let realm = Realm::start().await;
    let layer = realm.layer(json!({"client_secret": "s", "lazy_load_paths": true}));
    let nobody = ask(&layer, request("GET", "/", None)).await;
    assert_eq!((nobody.status(), nobody.body()), (401, "{\"message\":\"Missing JWT token in request\"}\n"));
    assert!(nobody.header("www-authenticate").unwrap().starts_with("Bearer "));
    for text in ["x", "Basic dXNlcjpwdw==", "Bearer x", "Bearer a.b"] {
        let answer = get(&layer, text).await;
        assert_eq!(
            (answer.status(), answer.body()),
            (401, "{\"message\":\"Invalid JWT token in request\"}\n"),
            "{text}"
        );
    }
    assert!(realm.asked().is_empty());
}

#[tokio::test]
async fn where_no_permission_is_needed_the_mode_decides() {
    let realm = Realm::start().await;
    let answer = get(&realm.layer(json!({})), GOOD).await;
    assert_eq!(answer.body(), "{\"error\":\"access_denied\",\"error_description\":\"not_authorized\"}\n");
    assert_eq!(answer.status(), 403);
    let elsewhere = realm.layer(json!({"access_denied_redirect_uri": "http://login.test/"}));
    assert_eq!(get(&elsewhere, GOOD).await.status(), 307);
    assert!(realm.asked().is_empty());
    let permissive = realm.layer(json!({"policy_enforcement_mode": "PERMISSIVE"}));
    for (token, status) in [(GOOD, 200), (POOR, 403), (FORGED, 401)] {
        assert_eq!(get(&permissive, token).await.status(), status, "{token}");
    }
    let asked = realm.asked();
    assert!(asked.iter().all(|(.., form)| !form.contains("permission=")), "{asked:?}");
}

#[tokio::test]
async fn a_keycloak_that_is_away_lets_nobody_pass() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for block in [
        json!({"client_id": "c", "discovery": format!("http://{free}/uma"), "permissions": ["p"]}),
        json!({"client_id": "c", "token_endpoint": format!("http://{free}/token"), "permissions": ["p"]}),
        json!({"client_id": "c", "token_endpoint": format!("http://{free}/token"), "policy_enforcement_mode": "PERMISSIVE"}),
    ] {
        let answer = get(&built(AuthzKeycloakPlugin::default(), &block), GOOD).await;
        assert_eq!((answer.status(), answer.body()), (503, ""));
    }
    let realm = Realm::start().await;
    let block = json!({"client_id": "c", "discovery": format!("{}/nothing", realm.base), "permissions": ["p"]});
    assert_eq!(get(&built(AuthzKeycloakPlugin::default(), &block), GOOD).await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn all_that_is_asked_about_a_request_is_over_within_one_time_out() {
    let realm = Realm::start().await;
    realm.delay.store(1, SeqCst);
    let layer = realm.layer(json!({"client_secret": "s", "lazy_load_paths": true}));
    let begun = Instant::now();
    assert_eq!(get(&layer, GOOD).await.status(), 503, "it takes four answers");
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(get(&layer, GOOD).await.status(), 200, "what was found out is kept");
}
