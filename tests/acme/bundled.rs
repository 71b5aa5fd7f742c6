//! The bundled gateway, which is killed while it orders.
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::pebble::Ways;
use super::peers::client::Client;
use super::process::Gateway;
use super::rig::Rig;

const NAMES: [&str; 3] = ["a.test", "b.test", "c.test"];

fn config(rig: &Rig) -> String {
    let ssls: Vec<_> = NAMES.iter().map(|name| json!({"id": name, "acme": true, "snis": [name]})).collect();
    let acme = json!({
        "directory": rig.pebble.directory(),
        "ca": rig.pebble.root(),
        "terms_agreed": true,
        "folder": rig.path(),
        "challenges": ["http-01"],
    });
    let listeners = json!([{"address": format!("127.0.0.1:{}", rig.ports.0)}]);
    json!({"tollgate": {"acme": acme, "listeners": listeners}, "ssls": ssls, "routes": []}).to_string()
}

/// What it says of its certificates.
async fn status(gateway: &Gateway) -> Value {
    let line = gateway.hear("control API on http://").await;
    let address: SocketAddr = line.rsplit("http://").next().unwrap().parse().unwrap();
    let mut client = Client::connect(address).await;
    client.send(format!("GET /v1/certificates HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")).await;
    serde_json::from_str(&client.answer().await.text()).unwrap()
}

/// Waits until all are in force. Those whose order was killed wait until the dead one's claim is over.
async fn all_valid(gateway: &Gateway) {
    let all = async {
        let is_valid = |item: &Value| item["state"] == "valid";
        let are_valid = |items: &Vec<Value>| items.len() == NAMES.len() && items.iter().all(is_valid);
        while !status(gateway).await["acme"]["items"].as_array().is_some_and(are_valid) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), all).await;
    assert!(ended.is_ok(), "{}\n{:#?}", status(gateway).await, gateway.told());
}

#[tokio::test]
async fn whoever_is_killed_while_ordering_leaves_nothing_half_done() {
    let rig = Rig::new(Ways { is_slow: true, ..Ways::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.json").display().to_string();
    std::fs::write(&path, config(&rig)).unwrap();
    let arguments = ["--config", &path, "--control", "127.0.0.1:0"];
    for killed_after in [0, 100, 300] {
        let mut gateway = Gateway::start_exactly(&arguments).await;
        rig.pebble.takes_an_order().await;
        tokio::time::sleep(Duration::from_millis(killed_after)).await;
        gateway.signal("KILL");
        gateway.ended().await;
        // So that the dead one's claims do not hold up the next; the last time they do.
        std::fs::remove_dir_all(rig.shelf("claims")).unwrap();
    }
    let mut gateway = Gateway::start_exactly(&arguments).await;
    rig.pebble.takes_an_order().await;
    gateway.signal("KILL");
    gateway.ended().await;
    let mut gateway = Gateway::start_exactly(&arguments).await;
    all_valid(&gateway).await;
    assert_eq!(rig.files("certificates"), NAMES.map(|name| format!("{name}.pem")));
    let issued = rig.pebble.issued();
    gateway.signal("KILL");
    gateway.ended().await;
    // What was kept serves again, and nothing is ordered.
    let gateway = Gateway::start_exactly(&arguments).await;
    all_valid(&gateway).await;
    assert_eq!(rig.pebble.issued(), issued);
}
