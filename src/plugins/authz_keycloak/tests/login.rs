use serde_json::json;

use super::realm::{Realm, request};
use crate::Body;
use crate::plugins::testing::ask;

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_form_is_exchanged_for_a_token() {
    let realm = Realm::start().await;
    let layer =
        realm.layer(json!({"client_secret": "s", "password_grant_token_generation_incoming_uri": "/api/token"}));
    let post = async |kind: &str, form: &'static str| {
        let request = http::Request::post("/api/token").header("content-type", kind).body(Body::from(form)).unwrap();
        ask(&layer, request).await
    };
    let answer = post(FORM, "username=a&password=right").await;
    assert_eq!((answer.status(), answer.body()), (200, "{\"access_token\":\"users\"}"));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "nobody keeps a token");
    assert_eq!(answer.header("pragma").as_deref(), Some("no-cache"));
    for (kind, form, status, body) in [
        (
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            "username=a&password=wrong",
            401,
            "{\"error\":\"invalid_grant\"}",
        ),
        (FORM, "username=a", 422, "{\"message\":\"password is missing.\"}\n"),
        (FORM, "password=a", 422, "{\"message\":\"username is missing.\"}\n"),
        (FORM, "username=a&password=wrong&password=right", 400, "{\"message\":\"password is there twice.\"}\n"),
        ("application/json", "{}", 401, "{\"message\":\"Missing JWT token in request\"}\n"),
    ] {
        let answer = post(kind, form).await;
        assert_eq!((answer.status(), answer.body()), (status, body), "{form}");
    }
    let get = ask(&layer, request("GET", "/api/token", None)).await;
    assert_eq!(get.status(), 401, "only POST asks for a token");
}

#[tokio::test]
async fn a_client_without_a_secret_may_exchange_forms_too() {
    let realm = Realm::start().await;
    let layer = realm.layer(json!({"password_grant_token_generation_incoming_uri": "/t"}));
    let request = http::Request::post("/t").header("content-type", FORM);
    let answer = ask(&layer, request.body(Body::from("username=a&password=right")).unwrap()).await;
    assert_eq!(answer.status(), 200);
    assert!(realm.asked().iter().all(|(.., form)| !form.contains("client_secret")));
}
