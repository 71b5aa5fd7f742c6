//! `opa` and `authz-keycloak`, before a double of both servers, written from their documentation: it is not they.
use std::sync::{Arc, Mutex};

use axum::extract::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::rig::{Rig, closed_port};

/// The questions that came.
type Asked = Arc<Mutex<Vec<Value>>>;

/// `POST /v1/data/<policy>` of Open Policy Agent; the path that is asked about says how it decides.
async fn decide(asked: Asked, Json(question): Json<Value>) -> Response {
    let path = question["input"]["request"]["path"].as_str().unwrap().to_owned();
    asked.lock().unwrap().push(question);
    let result = match path.rsplit('/').next().unwrap() {
        "yes" => json!({"allow": true, "headers": {"X-User": "ann of opa"}}),
        "bare" => json!({"allow": true}),
        "object" => json!({"allow": false, "status_code": 402, "reason": {"code": 7}, "headers": {"X-Why": "unpaid"}}),
        "text" => json!({"allow": false, "reason": "because"}),
        "silence" => std::future::pending().await,
        "nonsense" => return "nonsense".into_response(),
        "undefined" => return Json(json!({})).into_response(),
        _ => json!({}),
    };
    Json(json!({"result": result})).into_response()
}

/// The token endpoint of Keycloak; the bearer says how it decides.
async fn grant(asked: Asked, headers: HeaderMap, form: String) -> Response {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(json!({"bearer": bearer, "form": form}));
    let (status, body) = match &*bearer {
        _ if form.contains("grant_type=password") && form.contains("password=right") => {
            (200, json!({"access_token": "t"}))
        }
        _ if form.contains("grant_type=password") => (401, json!({"error": "invalid_grant"})),
        "Bearer h.yes.s" => (200, json!({"result": true})),
        "Bearer h.no.s" => (403, json!({"error": "access_denied", "error_description": "not_authorized"})),
        "Bearer h.odd.s" => (200, json!({"result": "maybe"})),
        _ => (401, json!({"error": "invalid_token"})),
    };
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn rig() -> (Rig, Asked) {
    let asked = Asked::default();
    let (policies, tokens) = (Arc::clone(&asked), Arc::clone(&asked));
    let double = axum::Router::new()
        .route("/v1/data/shop/orders", post(move |question| decide(policies, question)))
        .route("/token", post(move |headers, form| grant(tokens, headers, form)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, double).await });
    let replaced = [("127.0.0.1:8181", &*address), ("127.0.0.1:7009", &closed_port())];
    (Rig::with(include_str!("policy.yaml"), &replaced, &[]).await, asked)
}

#[tokio::test]
async fn opa_decides() {
    let (rig, asked) = rig().await;
    let ann = ["-H", "apikey: key-of-ann", "-H", "X-User: forged"];
    let yes = rig.curl("/opa/yes?page=2", &ann).await;
    assert_eq!((yes.status, yes.echoed("user"), yes.echoed("consumer")), (200, "ann of opa", "ann"));
    assert_eq!(rig.curl("/opa/bare", &ann).await.echoed("user"), "");
    let question = asked.lock().unwrap()[0].clone();
    let input = &question["input"];
    assert_eq!((&input["type"], &input["consumer"]["labels"]), (&json!("http"), &json!({"tier": "gold"})));
    for (name, value) in [("method", "GET"), ("scheme", "http"), ("path", "/echo/yes"), ("host", "127.0.0.1")] {
        assert_eq!(input["request"][name], value, "{input}");
    }
    assert_eq!(
        (&input["request"]["query"], &input["request"]["port"]),
        (&json!({"page": "2"}), &json!(rig.gateway.address().port()))
    );
    assert_eq!((&input["route"]["id"], &input["var"]["remote_addr"]), (&json!("opa"), &json!("127.0.0.1")));
    assert!(!question.to_string().contains("key-of-ann"), "{question}");
    let object = rig.curl("/opa/object", &ann).await;
    assert_eq!(
        (object.status, object.json(), object.field("x-why").as_deref()),
        (402, json!({"code": 7}), Some("unpaid"))
    );
    for (path, status, body) in [
        ("/opa/text", 403, "because"),
        ("/opa/other", 403, ""),
        ("/opa/silence", 403, ""),
        ("/opa/nonsense", 503, ""),
        ("/opa/undefined", 503, ""),
        ("/opa-away/yes", 403, ""),
    ] {
        assert_eq!(rig.says(path, &ann).await, (status, body.to_owned()), "{path}");
    }
    assert_eq!(rig.asked("/echo/other"), 0);
}

#[tokio::test]
async fn keycloak_decides() {
    let (rig, asked) = rig().await;
    let bearer = async |path: &str, token: &str| {
        let field = format!("Authorization: Bearer h.{token}.s");
        rig.curl(path, &["-H", &field]).await
    };
    let yes = bearer("/keycloak/a", "yes").await;
    assert_eq!((yes.status, yes.echoed("authorization")), (200, "Bearer h.yes.s"));
    let form = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Auma-ticket&audience=orders&response_mode=decision\
        &permission=orders%23read";
    assert_eq!(*asked.lock().unwrap(), [json!({"bearer": "Bearer h.yes.s", "form": form})]);
    let denied = json!({"error": "access_denied", "error_description": "not_authorized"});
    for (path, token, status, body) in [
        ("/keycloak/a", "no", 403, denied.clone()),
        ("/keycloak/a", "bad", 401, json!({"error": "invalid_token"})),
        ("/nothing-asked/a", "yes", 403, denied),
    ] {
        let reply = bearer(path, token).await;
        assert_eq!((reply.status, reply.json()), (status, body), "{path} {token}");
    }
    for (token, status) in [("yes", 200), ("no", 403), ("bad", 401)] {
        assert_eq!(bearer("/permissive/a", token).await.status, status, "{token}");
    }
    let nonsense = rig.curl("/permissive/a", &["-H", "Authorization: Bearer any"]).await;
    assert_eq!((nonsense.status, nonsense.json()), (401, json!({"message": "Invalid JWT token in request"})));
    let sent = bearer("/sent-away/a", "no").await;
    assert_eq!((sent.status, sent.field("location").as_deref()), (307, Some("https://shop.test/no")));
    for (path, token) in [("/keycloak/a", "odd"), ("/keycloak-away/a", "yes")] {
        let reply = bearer(path, token).await;
        assert_eq!((reply.status, reply.text()), (503, ""), "{path}");
    }
    let unknown = rig.curl("/keycloak/a", &[]).await;
    assert_eq!((unknown.status, unknown.json()), (401, json!({"message": "Missing JWT token in request"})));
    // A form with a password is exchanged for a token, at the path as clients write it.
    for (form, status, body) in [
        ("username=ann&password=right", 200, json!({"access_token": "t"})),
        ("username=ann&password=wrong", 401, json!({"error": "invalid_grant"})),
        ("username=ann", 422, json!({"message": "password is missing."})),
        ("password=right", 422, json!({"message": "username is missing."})),
    ] {
        let reply = rig.curl("/keycloak/token", &["-d", form]).await;
        assert_eq!((reply.status, reply.json()), (status, body), "{form}");
    }
}
