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
        assert!(text.contains("\ntollgate_config_revision ") && text.contains("\ntollgate_routes 1\n"), "{text}");
    }
}
