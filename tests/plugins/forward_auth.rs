//! `forward-auth` in a whole gateway.
use tollgate::gateway::Gateway;

use super::peers::origin::Origin;
use super::support::{Rig, example, refused, route_with};

/// What stands for the authorization service in the example.
const SERVICE: &str = "127.0.0.1:9000";

/// A route without the plugin beside the example's.
const OPEN: &str = "routes:\n  - {id: open, uri: /open, upstream: {nodes: {\"127.0.0.1:7001\": 1}}}";

async fn asking(service: &Origin) -> Rig {
    Rig::with(Gateway::builder(), &example("forward-auth").replace(SERVICE, &service.address().to_string())).await
}

#[tokio::test]
async fn the_example_lets_pass_whom_the_service_knows() {
    let service = Origin::answering("HTTP/1.1 200 OK\r\nx-user-id: 7\r\ncontent-length: 0\r\n\r\n").await;
    let rig = asking(&service).await;
    let fields =
        [("Authorization", "Bearer t"), ("X-User-ID", "forged"), ("X-Forwarded-Method", "TRACE"), ("X-Other", "o")];
    let answer =
        rig.ask_bytes("POST /orders/1?a=b", fields.map(|(name, value)| (name, value.as_bytes())), b"body").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"));
    let question = service.request();
    assert_eq!((question.method(), question.target(), question.body.len()), ("GET", "/verify", 0));
    for (name, values) in [
        ("authorization", &["Bearer t"][..]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-method", &["POST"]),
        ("x-forwarded-host", &["gw.test"]),
        ("x-forwarded-uri", &["/orders/1?a=b"]),
        ("x-forwarded-for", &["127.0.0.1"]),
        ("x-other", &[]),
        ("x-user-id", &[]),
        ("content-length", &[]),
        ("transfer-encoding", &[]),
    ] {
        assert_eq!(question.all(name), values, "{name}");
    }
    let forwarded = rig.forwarded();
    assert_eq!((forwarded.all("x-user-id"), forwarded.body.as_slice()), (vec!["7"], &b"body"[..]));
}

#[tokio::test]
async fn the_example_tells_the_client_why_not() {
    let service = Origin::answering(
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\nx-internal: 1\r\ncontent-length: 4\r\n\r\nwho?",
    )
    .await;
    let rig = asking(&service).await;
    let answer = rig.get("/orders/1", &[]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (401, "who?"));
    assert_eq!((answer.field("www-authenticate"), answer.field("x-internal")), (Some("Bearer"), None));
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn sec_hop_05_a_field_of_the_service_is_no_clients_to_send_on_any_route() {
    let service = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let yaml = example("forward-auth").replace(SERVICE, &service.address().to_string());
    let rig = Rig::with(Gateway::builder(), &yaml.replace("routes:", OPEN)).await;
    rig.get("/open", &[("X-User-ID", "forged"), ("X_User_ID", "forged"), ("Authorization", "mine")]).await;
    let forwarded = rig.forwarded();
    assert_eq!(forwarded.all("authorization"), ["mine"]);
    assert_eq!((forwarded.all("x-user-id").len(), forwarded.all("x_user_id").len()), (0, 0));
}

#[tokio::test]
async fn a_service_that_is_away_refuses_everybody() {
    let address = Origin::saying("").await.address();
    let rig = Rig::with(Gateway::builder(), &example("forward-auth").replace(SERVICE, &address.to_string())).await;
    let answer = rig.get("/orders/1", &[]).await;
    assert_eq!((answer.status(), answer.body.len(), rig.forwarded_count()), (403, 0, 0));
}

#[tokio::test]
async fn a_faulty_block_is_refused_with_its_field() {
    for (block, says) in [
        ("{uri: \"http://a\", timeout: 0}", "plugins.forward-auth.timeout"),
        ("{uri: \"http://a\", upstream_headers: [Transfer-Encoding]}", "upstream_headers"),
        ("{uri: \"http://a\", ssl_verfy: false}", "ssl_verfy"),
        ("{}", "property \"uri\" is required"),
    ] {
        let faults = refused(&route_with(&format!("{{forward-auth: {block}}}")));
        assert!(faults.contains(says), "{block}: {faults}");
    }
}
