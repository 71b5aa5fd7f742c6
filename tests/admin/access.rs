//! Who is let in, what each may do, and what is written down of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use serde_json::json;
use tollgate::ConnectInfo;
use tollgate::admin::{AdminApi, AdminBuildError};
use tollgate::model::{AdminKey, AdminRole, AdminSettings};
use tollgate::store::{MemoryStore, Mirror, MirrorOptions};

use super::rig::{EVE, ROOT, Reply, Rig, request};

fn built(settings: AdminSettings) -> Result<AdminApi, AdminBuildError> {
    let mirror = Mirror::start(Arc::new(MemoryStore::new()), MirrorOptions::default());
    AdminApi::builder(mirror, None).settings(settings).build()
}

#[tokio::test]
async fn sec_adm_01_without_a_key_there_is_none() {
    let key = |text: &str| AdminKey { name: "k".to_owned(), key: text.into(), role: AdminRole::Admin };
    assert!(matches!(built(AdminSettings::default()), Err(AdminBuildError::NoKey)));
    let short = AdminSettings { keys: vec![key("edd1c9f034335f1")], ..AdminSettings::default() };
    assert!(matches!(built(short), Err(AdminBuildError::ShortKey { .. })));
    let unset = AdminSettings { keys: vec![key("$env://TOLLGATE_TEST_NO_SUCH_KEY")], ..AdminSettings::default() };
    assert!(matches!(built(unset), Err(AdminBuildError::Reference { .. })));
    let open = AdminSettings { admin_key_required: false, ..AdminSettings::default() };
    assert!(built(open.clone()).is_ok(), "on the loopback");
    let beyond = AdminSettings { listen: "0.0.0.0:9180".parse().unwrap(), ..open };
    assert!(matches!(built(beyond), Err(AdminBuildError::Open { .. })));
}

async fn with_key(rig: &Rig, method: &str, path: &str, key: &str) -> Reply {
    let mut builder = request(method, path);
    builder.headers_mut().unwrap().insert("x-api-key", key.parse().unwrap());
    rig.ask(builder.body(json!({"uri": "/a", "plugins": {}}).to_string().into()).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn keys_and_roles() {
    let rig = Rig::memory().await;
    let no_key = rig.ask(Request::get("/apisix/admin/routes").body("".into()).unwrap()).await;
    assert_eq!(no_key.status, 401);
    assert_eq!(no_key.body, json!({"error_msg": "failed to check token", "description": "missing apikey"}));
    assert!(!no_key.field("www-authenticate").is_empty());
    // Keys that everybody knows.
    for key in ["edd1c9f034335f136f87ad84b625c8f1", "4054f7cf07e344346cd3f287985e76a2", "", "admin"] {
        let reply = with_key(&rig, "PUT", "/routes/1", key).await;
        assert_eq!(reply.status, 401, "{key}");
        assert_eq!(reply.body, json!({"error_msg": "failed to check token", "description": "wrong apikey"}));
    }
    assert_eq!(with_key(&rig, "GET", "/routes", EVE).await.status, 200);
    for (method, path) in [
        ("PUT", "/routes/1"),
        ("POST", "/routes"),
        ("PATCH", "/routes/1"),
        ("DELETE", "/routes/1"),
        ("PUT", "/plugins/reload"),
        ("POST", "/history/1/restore"),
        ("POST", "/schema/validate/routes"),
        ("POST", "/configs/validate"),
    ] {
        let reply = with_key(&rig, method, path, EVE).await;
        assert_eq!((reply.status.as_u16(), reply.error()), (403, "failed to check token"), "{method} {path}");
    }
    assert!(rig.stored().is_empty());
    assert_eq!(with_key(&rig, "PUT", "/routes/1", ROOT).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn sec_adm_05_guessing_is_slowed_down_by_client() {
    let rig = Rig::memory().await;
    let from = |client: &str, key: &str| {
        let mut request = request("GET", "/routes").body("".into()).unwrap();
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        request.extensions_mut().insert(ConnectInfo::new(client.parse().unwrap()));
        request
    };
    for _ in 0..20 {
        let mut keyless = from("127.0.0.2:1", ROOT);
        keyless.headers_mut().remove("x-api-key");
        assert_eq!(rig.ask(keyless).await.status, 401, "a page in a browser can ask like this");
    }
    for _ in 0..10 {
        assert_eq!(rig.ask(from("127.0.0.2:1", "a-guess-that-is-wrong")).await.status, 401);
    }
    let refused = rig.ask(from("127.0.0.2:2", ROOT)).await;
    assert_eq!((refused.status.as_u16(), refused.field("retry-after")), (429, "6"), "whatever key it is");
    assert_eq!(rig.ask(from("127.0.0.1:1", ROOT)).await.status, 200, "others are let in");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(rig.ask(from("127.0.0.2:3", ROOT)).await.status, 200);
}

#[tokio::test]
async fn sec_adm_04_pages_networks_and_names() {
    let rig = Rig::memory().await;
    let ask = |fields: &[(&'static str, &'static str)], client: Option<&str>| {
        let mut builder = request("GET", "/routes");
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body("".into()).unwrap();
        if let Some(client) = client {
            request.extensions_mut().insert(ConnectInfo::new(client.parse().unwrap()));
        }
        rig.ask(request)
    };
    assert_eq!(ask(&[("host", "localhost:9180")], Some("127.0.0.1:5")).await.status, 200);
    assert_eq!(ask(&[("host", "evil.test")], None).await.status, 403);
    assert_eq!(ask(&[("origin", "http://evil.test")], None).await.status, 403);
    let outside = ask(&[], Some("192.0.2.1:5")).await;
    assert_eq!((outside.status.as_u16(), outside.error()), (403, "this client's address is not let in"));
    assert!(outside.headers.get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn sec_adm_05_every_write_leaves_a_line() {
    let rig = Rig::memory().await;
    rig.put("/routes/1", json!({"uri": "/a", "plugins": {}})).await;
    rig.json("PUT", "/routes/2", json!({"uri": 7})).await;
    with_key(&rig, "DELETE", "/routes/1", EVE).await;
    rig.get("/routes").await;
    rig.json("PUT", "/routes/3?dry_run=true", json!({"uri": "/a", "plugins": {}})).await;
    rig.send("DELETE", "/routes/1", "").await;
    rig.ask(Request::put("/apisix/admin/routes/1\u{7f}?api_key=x".replace('\u{7f}', "%0A")).body("".into()).unwrap())
        .await;
    let lines = rig.audit.take();
    let told: Vec<_> = lines
        .iter()
        .map(|line| format!("{} {} {} {}", line["by"], line["method"], line["path"], line["status"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "root PUT /apisix/admin/routes/1 201",
            "root PUT /apisix/admin/routes/2 400",
            "eve DELETE /apisix/admin/routes/1 403",
            "root PUT /apisix/admin/routes/3 200",
            "root DELETE /apisix/admin/routes/1 200",
            "null PUT /apisix/admin/routes/1%0A 401",
        ]
    );
    assert_eq!(lines[0]["changes"][0]["key"], "routes/1");
    assert!(lines[0]["changes"][0]["before"].is_null());
    assert_eq!(lines[0]["changes"][0]["after"], lines[4]["changes"][0]["before"], "a digest of the item");
    assert!(lines[0]["revision"].as_u64() < lines[4]["revision"].as_u64());
    assert_eq!((&lines[3]["dry_run"], &lines[3]["revision"]), (&json!(true), &json!(null)));
}

#[tokio::test]
async fn sec_adm_03_no_route_leads_to_the_admin_api() {
    use std::sync::Arc;
    use tollgate::gateway::Gateway;
    use tollgate::model::{NodeSpec, Settings, Snapshot, UpstreamSpec};

    let listening = Snapshot {
        settings: Arc::new(Settings { admin: Some(AdminSettings::default()), ..Settings::default() }),
        ..Snapshot::default()
    };
    let judged = |host: &str, port| {
        let mut snapshot = listening.clone();
        snapshot.upstreams.push(UpstreamSpec::new("u", [NodeSpec::host(host, port)]));
        Gateway::builder().build().unwrap().apply(snapshot).map_err(|error| error.to_string())
    };
    assert!(judged("127.0.0.1", 9181).is_ok());
    assert!(judged("127.0.0.1", 9180).unwrap_err().contains("the Admin API listens"));
    assert!(judged("localhost", 9180).is_err());
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_no_write() {
    use tower::Service as _;

    let rig = Rig::memory().await;
    let body = tollgate::Body::from(json!({"uri": "/a", "plugins": {}}).to_string());
    let request = request("PUT", "/routes/1").body(body).unwrap();
    drop(rig.api.clone().call(request));
    let written = async {
        loop {
            let lines = rig.audit.take();
            if !lines.is_empty() {
                return lines;
            }
            tokio::task::yield_now().await;
        }
    };
    let lines = tokio::time::timeout(Duration::from_secs(10), written).await.unwrap();
    assert_eq!((&lines[0]["status"], lines.len()), (&json!(201), 1));
    assert_eq!(rig.stored().len(), 1);
}
