//! The control address of the bundled gateway.
use super::peers::client::Client;
use super::peers::origin::Origin;
use super::process::{Folder, Gateway, leading_to};

#[tokio::test]
async fn metrics_are_served_from_the_first_block_on_that_keeps_them() {
    let origin = Origin::saying("one").await;
    let folder = Folder::new();
    let plain = leading_to(origin.address());
    let file = folder.write("a.yaml", &plain);
    let gateway = Gateway::start(&["--config", &file]).await;
    assert!(!gateway.told().iter().any(|line| line.contains("metrics")));
    let more = "global_rules: [{id: m, plugins: {prometheus: {}}}]\ntollgate: {plugin_attr: {prometheus: {export_addr: \
                {port: 0}, refresh_interval: 0}}}\n#END\n";
    folder.write("a.yaml", &(plain.replace("#END\n", "") + more));
    let told = gateway.hear("metrics on http://").await;
    let address = told.strip_prefix("metrics on http://").and_then(|rest| rest.strip_suffix("/metrics")).unwrap();
    gateway.get("/").await;
    for path in ["/metrics", "/apisix/prometheus/metrics"] {
        let mut client = Client::connect(address.parse().unwrap()).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: control.test\r\n\r\n")).await;
        let text = client.answer_to("GET").await.text();
        assert!(text.contains("tollgate_http_status{code=\"200\""), "{text}");
        assert!(text.contains("\ntollgate_limit_count_keys 0\n"), "{text}");
        assert!(text.contains("\ntollgate_tls_handshakes_total{result=\"full\"} 0\n"), "{text}");
        assert!(text.contains("\ntollgate_config_revision ") && text.contains("\ntollgate_routes 1\n"), "{text}");
    }
}

const CHECKED: &str = r#"
upstreams:
  - id: u
    nodes: [{host: 127.0.0.1, port: WELL, weight: 1}, {host: 127.0.0.1, port: DEAD, weight: 1}]
    checks: {active: {type: tcp}}
  - {id: v, nodes: {"127.0.0.1:1": 1}}
routes:
  - {id: r, uri: /, upstream_id: u}
  - {id: s, uri: /s, upstream_id: v}
global_rules: [{id: m, plugins: {prometheus: {}}}]
tollgate: {plugin_attr: {prometheus: {export_addr: {port: 0}}}}
#END
"#;

#[tokio::test]
async fn health_checks_are_told_in_the_form_of_apisix() {
    let (well, dead) = (Origin::saying("well").await, Origin::saying("dead").await.address());
    let folder = Folder::new();
    let text = CHECKED.replace("WELL", &well.address().port().to_string()).replace("DEAD", &dead.port().to_string());
    let file = folder.write("a.yaml", &text);
    let gateway = Gateway::start(&["--config", &file]).await;
    let told = gateway.hear("metrics on http://").await;
    let address = told.strip_prefix("metrics on http://").and_then(|rest| rest.strip_suffix("/metrics")).unwrap();
    let ask = async |path: &str| {
        let mut client = Client::connect(address.parse().unwrap()).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: control.test\r\n\r\n")).await;
        let answer = client.answer_to("GET").await;
        serde_json::from_str::<serde_json::Value>(&answer.text()).unwrap()
    };
    let failed = |report: &serde_json::Value| report["nodes"][1]["status"] == "unhealthy";
    let mut report = ask("/v1/healthcheck/upstreams/u").await;
    while !failed(&report) {
        report = ask("/v1/healthcheck/upstreams/u").await;
    }
    assert_eq!(report["name"], "/upstreams/u");
    assert_eq!(report["type"], "tcp");
    assert_eq!(report["nodes"][0]["status"], "healthy");
    let counter = serde_json::json!({"success": 0, "http_failure": 0, "tcp_failure": 2, "timeout_failure": 0});
    assert_eq!((&report["nodes"][1]["ip"], &report["nodes"][1]["counter"]), (&"127.0.0.1".into(), &counter));
    assert_eq!(report["nodes"][1]["port"], dead.port());
    // Only upstreams that have checks are there.
    assert_eq!(ask("/v1/healthcheck").await.as_array().unwrap().len(), 1);
    assert!(ask("/v1/healthcheck/upstreams/v").await["error_msg"].is_string());
}
