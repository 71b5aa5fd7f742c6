//! Health checks as a configuration has them.
use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::model::read;
use tollgate::upstream::EndpointStatus;
use tollgate::upstream::health::{HealthState, HealthStatus};

use super::peers::origin::Origin;
use super::peers::within;
use super::support::{builder, snapshot, told};

/// An address that nobody listens at.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn document(nodes: &Value, checks: &Value) -> Value {
    json!({
        // Nothing is tried again, so that no endpoint's failure is hidden.
        "upstreams": [{"id": "u", "nodes": nodes, "checks": checks, "retries": 0}],
        "routes": [{"id": "r", "uri": "/*", "upstream_id": "u"}],
    })
}

/// What is said of each endpoint of `upstream/u`.
fn health(gateway: &Gateway) -> Vec<Option<HealthStatus>> {
    endpoints(gateway).iter().map(|endpoint| endpoint.health).collect()
}

/// How many endpoints are used.
fn used(gateway: &Gateway) -> usize {
    endpoints(gateway).iter().filter(|endpoint| endpoint.in_use).count()
}

fn endpoints(gateway: &Gateway) -> Vec<EndpointStatus> {
    let upstreams = gateway.status().upstreams();
    upstreams.into_iter().find(|upstream| upstream.key.as_str() == "upstream/u").unwrap().endpoints
}

/// The statuses of four answers, in order.
async fn four(gateway: &Gateway) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(told(gateway, "/").await.0);
    }
    statuses.sort();
    statuses
}

#[tokio::test]
async fn probes_begin_with_the_configuration_and_end_with_it() {
    let (origin, dead) = (Origin::saying("well").await, nobody());
    let nodes = json!({origin.address().to_string(): 1, dead: 1});
    let probed = json!({"active": {"http_path": "/up", "unhealthy": {"tcp_failures": 1}}});
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&document(&nodes, &probed))).unwrap();
    // No request is needed for that.
    within(|| format!("another verdict than {:?}", endpoints(&gateway)), async {
        while used(&gateway) != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(four(&gateway).await, [200; 4]);
    let mut off = document(&nodes, &probed);
    off["tollgate"] = json!({"disable_upstream_healthcheck": true});
    gateway.apply(snapshot(&off)).unwrap();
    assert_eq!(health(&gateway), [None, None]);
    assert_eq!(four(&gateway).await, [200, 200, 502, 502]);
    // The verdict is still there when checks come back.
    gateway.apply(snapshot(&document(&nodes, &probed))).unwrap();
    assert_eq!(used(&gateway), 1);
    assert_eq!(four(&gateway).await, [200; 4]);
}

#[tokio::test]
async fn an_answer_that_the_gateway_makes_says_nothing_of_endpoints() {
    let origin = Origin::saying("well").await;
    let passive = json!({"passive": {"unhealthy": {"http_statuses": [404, 500, 503], "http_failures": 1}}});
    let mut faulty = document(&json!({origin.address().to_string(): 1, nobody(): 0}), &passive);
    faulty["routes"][0]["plugins"] = json!({"fault-injection": {"abort": {"http_status": 503}}});
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&faulty)).unwrap();
    for _ in 0..5 {
        assert_eq!(told(&gateway, "/").await.0, 503);
    }
    assert!(health(&gateway).iter().all(|one| *one == Some(HealthStatus::default())));
    faulty["routes"][0]["plugins"] = json!({"response-rewrite": {"status_code": 500}});
    gateway.apply(snapshot(&faulty)).unwrap();
    assert_eq!(told(&gateway, "/").await.0, 500);
    assert!(health(&gateway).iter().all(|one| one.unwrap().state == HealthState::Healthy));
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_field() {
    let gateway = builder().build().unwrap();
    let faults = |active: Value| -> Vec<String> {
        let document = document(&json!({"127.0.0.1:1": 1}), &json!({"active": active}));
        let snapshot = read(&document, &Default::default()).snapshot;
        gateway.check(&snapshot).iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect()
    };
    assert_eq!(
        faults(json!({"http_path": "/up HTTP/1.1\r\nx: "})),
        ["checks.active.http_path: `/up HTTP/1.1\r\nx: ` is no path"]
    );
    assert_eq!(faults(json!({"http_path": "up"})), ["checks.active.http_path: `up` is no path"]);
    assert_eq!(faults(json!({"req_headers": ["no field"]})), ["checks.active.req_headers: `no field` is no field"]);
    assert_eq!(
        faults(json!({"req_headers": ["a: b\r\nc: d"]})),
        ["checks.active.req_headers: `a: b\r\nc: d` is no field"]
    );
    assert_eq!(
        faults(json!({"req_headers": ["Host: a"]})),
        ["checks.active.req_headers: `host` is not used: probes write that field themselves"]
    );
    assert_eq!(faults(json!({"healthy": {"interval": u64::MAX >> 1}})), [""; 0]);
}
