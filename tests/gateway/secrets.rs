//! References to secrets in plugin blocks and credentials: looked up at the load, closed where they have no value, and
//! looked up again.
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::plugin::{BuildContext, ConfigError, Plugin, Stage};
use tollgate::{Body, PluginLayer};

use super::consumers::{TokenPlugin, route};
use super::support::{ask, candidate, snapshot, with_marks};

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

/// Hands out what constructors are told of their blocks.
struct Told(Arc<Mutex<Vec<Value>>>);

#[derive(Deserialize)]
struct Anything {}

impl Plugin for Told {
    const NAME: &'static str = "told";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1;
    type Config = Anything;

    fn build(&self, _: Anything, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        self.0.lock().unwrap().push(Value::Object(cx.block().unwrap().clone()));
        Ok(PluginLayer::from_fn(|next| next))
    }
}

#[tokio::test]
async fn a_block_with_a_reference_stays_itself_until_its_value_changes_and_is_known_as_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "one").unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let gateway = with_marks().plugin(Told(Arc::clone(&told))).build().unwrap();
    let document = |other: &str| {
        let told = json!({"text": "$secret://file/k8s/secret",
            "_meta": {"priority": 5, "error_response": "$secret://file/k8s/secret"}});
        json!({
            "secrets": [{"id": "file/k8s", "path": folder.path()}],
            "routes": [
                {"id": "r", "uri": "/r", "plugins": {"told": told, "low": {"reject": 403}},
                 "upstream": {"nodes": [{"service": "a", "weight": 1}]}},
                {"id": "s", "uri": "/s", "plugins": {"low": {"text": other}},
                 "upstream": {"nodes": [{"service": "a", "weight": 1}]}},
            ],
        })
    };
    gateway.apply(snapshot(&document("1"))).unwrap();
    let mut other = document("2");
    other["tollgate"] = json!({"errors": "problem"});
    gateway.apply(snapshot(&other)).unwrap();
    assert_eq!(told.lock().unwrap().len(), 1, "everything was compiled, and the block was as before");
    fs::write(folder.path().join("secret"), "two").unwrap();
    gateway.refresh_secrets().unwrap();
    let told = told.lock().unwrap();
    assert_eq!(*told, [json!({"text": "$secret://file/k8s/secret"}), json!({"text": "$secret://file/k8s/secret"})]);
}

#[tokio::test]
async fn a_reference_may_stand_under_meta() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), "from a file").unwrap();
    let gateway = with_marks().build().unwrap();
    let low = json!({"reject": 403, "_meta": {"error_response": "$secret://file/k8s/text"}});
    let document = json!({
        "secrets": [{"id": "file/k8s", "path": folder.path()}],
        "routes": [{"id": "r", "uri": "/r", "plugins": {"low": low}, "upstream": {"nodes": [{"service": "a", "weight": 1}]}}],
    });
    gateway.apply(snapshot(&document)).unwrap();
    assert_eq!(told_text(&gateway).await, (403, "from a file".to_owned()));
}

async fn told_text(gateway: &Gateway) -> (u16, String) {
    super::support::told(gateway, "/r").await
}

/// Secrets in every place where they do not fit: no fault repeats one.
#[test]
fn sec_secr_01_no_fault_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("canary"), "canary-9182 \"7364").unwrap();
    let gateway = with_marks().build().unwrap();
    let reference = "$secret://file/k8s/canary";
    let redis = |more: Value| {
        let mut block = json!({"count": 1, "time_window": 60, "policy": "redis", "redis_host": "127.0.0.1"});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"limit-count": block})
    };
    let consumers = [
        json!({"key-auth": {"key": 91_827_364}}),
        json!({"key-auth": {"key": [91_827_364]}}),
        json!({"basic-auth": {"username": "u", "password": 91_827_364}}),
        json!({"basic-auth": {"username": "u", "password": 91_827_364.5}}),
        redis(json!({"redis_password": 91_827_364})),
        redis(json!({"redis_port": reference})),
        redis(json!({"redis_timeout": reference})),
        redis(json!({"window_type": reference})),
        redis(json!({"rejected_code": reference})),
        json!({"low": {"reject": reference}}),
        json!({"low": {"_meta": {"filter": [["uri", reference, "/"]]}}}),
        json!({"uri-blocker": {"block_rules": ["(", reference]}}),
        json!({"ip-restriction": {"whitelist": [reference]}}),
        json!({"response-rewrite": {"status_code": reference}}),
        json!({"basic-auth": {"username": reference, "password": {"a": reference}}}),
    ];
    for plugins in consumers {
        let document = json!({
            "secrets": [{"id": "file/k8s", "path": folder.path()}],
            "consumers": [{"username": "a", "plugins": plugins}],
        });
        let candidate = candidate(&document);
        let error = gateway.apply(candidate.clone()).expect_err(&document.to_string());
        let said = format!("{error} {error:?} {:?} {:?}", gateway.check(&candidate), gateway.adopt(candidate));
        assert!(!said.contains("9182"), "{said}");
    }
}

#[tokio::test]
async fn a_refresh_keeps_what_the_reader_found() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = with_marks().auth_plugin(TokenPlugin).build().unwrap();
    let mut document = document(folder.path());
    document["routes"][0]["upstream"]["nodes"][0]["host_header"] = json!("x");
    let with_warning = snapshot(&document);
    assert!(!with_warning.warnings.is_empty());
    gateway.apply(with_warning).unwrap();
    let of_reader = |gateway: &Gateway| warned(gateway, "host_header");
    assert!(of_reader(&gateway));
    fs::write(folder.path().join("token"), "ta").unwrap();
    gateway.refresh_secrets().unwrap();
    assert!(of_reader(&gateway));
}
