//! References to secrets in plugin blocks and credentials: looked up at the load, closed where they have no value, and
//! looked up again.
use std::fs;
use std::path::Path;

use http::Request;
use serde_json::{Value, json};
use tollgate::Body;
use tollgate::gateway::Gateway;

use super::consumers::{TokenPlugin, route};
use super::support::{ask, snapshot, with_marks};

fn document(folder: &Path) -> Value {
    json!({
        "secrets": [{"id": "file/k8s", "path": folder.to_str().unwrap()}],
        "routes": [
            route("plain", "way", &json!({})),
            route("r", "way", &json!({"low": {"text": "$secret://file/k8s/text"}})),
        ],
        "consumers": [
            {"username": "a", "plugins": {"token": {"token": "$secret://file/k8s/token"}}},
            {"username": "b", "plugins": {"token": {"token": "tb"}}},
        ],
    })
}

async fn status_and_text(gateway: &Gateway, path: &str, token: &str) -> (u16, String) {
    let request = Request::builder().uri(path).header("x-token", token).body(Body::empty()).unwrap();
    let answer = ask(gateway, request).await;
    (answer.status, answer.text)
}

fn warned(gateway: &Gateway, of: &str) -> bool {
    gateway.status().findings.iter().any(|finding| finding.to_string().contains(of))
}

#[tokio::test]
async fn a_reference_closes_until_it_has_a_value_and_follows_it_then() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = with_marks().auth_plugin(TokenPlugin).build().unwrap();
    gateway.apply(snapshot(&document(folder.path()))).unwrap();
    // Nothing is there: the route answers 500, the consumer is nobody, least of all by the reference's own text.
    assert_eq!(status_and_text(&gateway, "/r", "tb").await.0, 500);
    assert_eq!(status_and_text(&gateway, "/plain", "$secret://file/k8s/token").await.0, 401);
    assert!(warned(&gateway, "plugins.low.text") && warned(&gateway, "plugins.token.token"));
    assert!(warned(&gateway, "the file `text` cannot be read"));

    fs::write(folder.path().join("text"), "one\n").unwrap();
    fs::write(folder.path().join("token"), "ta\n").unwrap();
    let before = gateway.refresh_secrets().unwrap();
    assert_eq!(status_and_text(&gateway, "/r", "tb").await, (200, "low:one".to_owned()));
    assert_eq!(status_and_text(&gateway, "/plain", "ta").await.0, 200);
    assert!(!warned(&gateway, "cannot be read"));
    // Nothing has changed: nothing is compiled.
    assert_eq!(gateway.refresh_secrets().unwrap(), before);

    fs::write(folder.path().join("text"), "two").unwrap();
    fs::write(folder.path().join("token"), "rotated").unwrap();
    assert!(gateway.refresh_secrets().unwrap() > before);
    assert_eq!(status_and_text(&gateway, "/r", "tb").await, (200, "low:two".to_owned()));
    assert_eq!(status_and_text(&gateway, "/plain", "ta").await.0, 401);
    assert_eq!(status_and_text(&gateway, "/plain", "rotated").await.0, 200);

    // A value that goes away closes again.
    fs::remove_file(folder.path().join("text")).unwrap();
    gateway.refresh_secrets().unwrap();
    assert_eq!(status_and_text(&gateway, "/r", "tb").await.0, 500);
}

#[test]
fn the_snapshot_in_force_holds_references_and_no_values() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), "canary-value").unwrap();
    fs::write(folder.path().join("token"), "canary-value").unwrap();
    let gateway = with_marks().auth_plugin(TokenPlugin).build().unwrap();
    gateway.apply(snapshot(&document(folder.path()))).unwrap();
    let shown = gateway.snapshot().to_document().unwrap().to_string();
    assert!(shown.contains("$secret://file/k8s/text") && !shown.contains("canary-value"));
    assert!(!format!("{gateway:?} {:?}", gateway.status()).contains("canary-value"));
}
