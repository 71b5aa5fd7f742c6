//! Pages and WebSockets in a real browser (Chromium) and a real client library (`websockets` of Python), over TLS and HTTP/2
//! of the bundled gateway.
#![cfg(test)]
#![cfg(all(unix, feature = "full", feature = "real-servers"))]
#[path = "browser/chromium.rs"]
mod chromium;
#[path = "browser/origin.rs"]
mod origin;
mod peers;
#[path = "cli/process.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod process;

use std::net::SocketAddr;

use chromium::Chromium;
use origin::Origin;
use peers::within;
use process::{Folder, Gateway};
use serde_json::{Value, json};
use tokio::process::Command;

/// A gateway with TLS for `localhost` in front of the origin, its address, and its access log.
async fn gateway(folder: &Folder, origin: &Origin) -> (Gateway, SocketAddr, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let document = json!({
        "tollgate": {"listeners": [{"address": "127.0.0.1:0", "protocols": ["h1", "h2"], "tls": {}}]},
        "ssls": [{"id": "local", "sni": "localhost", "cert": cert.pem(), "key": signing_key.serialize_pem()}],
        "upstreams": [
            {"id": "pages", "nodes": {origin.pages.to_string(): 1}},
            {"id": "sockets", "nodes": {origin.sockets.to_string(): 1}},
        ],
        "routes": [
            {"id": "pages", "uri": "/*", "upstream_id": "pages"},
            {"id": "sockets", "uri": "/ws", "upstream_id": "sockets", "enable_websocket": true},
        ],
    });
    let config = folder.write("gateway.json", &document.to_string());
    let log = folder.write("access.log", "");
    let arguments = ["--config", &config, "--access-log", &log, "--access-log-format", "json"];
    let gateway = Gateway::start_exactly(&arguments).await;
    let address = gateway.address();
    (gateway, address, log)
}

/// The protocols in which the path was asked for, by the access log, once there is one.
async fn protocols_of(log: &str, path: &str) -> Vec<String> {
    within(|| format!("{path} in the access log"), async {
        loop {
            let text = std::fs::read_to_string(log).unwrap();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let found: Vec<_> = lines
                .filter(|line| line["uri"].as_str().is_some_and(|uri| uri == path))
                .map(|line| line["protocol"].as_str().unwrap_or_default().to_owned())
                .collect();
            if !found.is_empty() {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_loads_a_page_and_talks_over_a_websocket_in_one_http2_connection() {
    let origin = Origin::start().await;
    let folder = Folder::new();
    let (gateway, address, log) = gateway(&folder, &origin).await;
    let _browser = Chromium::open(&format!("https://localhost:{}/", address.port()));
    let report = within(|| format!("the page's report; the gateway said {:#?}", gateway.told()), origin.report()).await;
    assert_eq!(report["page"], "h2", "{report}");
    assert_eq!(report["fetched"], "h2", "{report}");
    assert_eq!(report["said"], json!(["echo: first", "echo: second"]), "{report}");
    assert_eq!(report["closed"], 1000, "{report}");
    assert_eq!(protocols_of(&log, "/ws").await, ["HTTP/2.0"]);
}

/// Python with `websockets`, as tests/all.sh installs it.
fn python() -> Command {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/target/websockets/bin/python");
    assert!(std::path::Path::new(program).exists(), "`websockets` is missing: tests/all.sh installs it");
    let mut command = Command::new(program);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/websockets_client.py"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_websockets_talks_over_tls_and_is_told_of_a_drain() {
    let origin = Origin::start().await;
    let folder = Folder::new();
    let (mut gateway, address, log) = gateway(&folder, &origin).await;
    let url = format!("wss://localhost:{}/ws", address.port());
    let mut client = python();
    client.arg(&url).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let mut client = client.spawn().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(client.stdout.take().unwrap()));
    let mut next = async || within(|| "a line of the client".to_owned(), lines.next_line()).await.unwrap();
    assert_eq!(next().await.as_deref(), Some("echo: hello"));
    assert_eq!(next().await.as_deref(), Some("65536 bytes back"));
    assert_eq!(next().await.as_deref(), Some("pong"));
    gateway.signal("TERM");
    assert_eq!(next().await.as_deref(), Some("closed 1001"));
    assert!(gateway.ended().await.success());
    assert_eq!(protocols_of(&log, "/ws").await, ["HTTP/1.1"]);
}
