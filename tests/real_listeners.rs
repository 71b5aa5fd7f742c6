//! Listeners behind a real sender of PROXY headers (HAProxy), with curl as the client.
#![cfg(test)]
#![cfg(all(unix, feature = "full", feature = "real-servers"))]
#[path = "peers/haproxy.rs"]
mod haproxy;
mod peers;
#[path = "cli/process.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod process;

use haproxy::Haproxy;
use peers::origin::Origin;
use process::{Folder, Gateway};
use serde_json::json;
use tokio::process::Command;

/// What curl prints for these arguments, and whether it ended well.
async fn curl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("curl").args(["-sSk", "--max-time", "20"]).args(arguments).output().await;
    let output = output.unwrap_or_else(|error| panic!("curl is missing ({error}): tests/all.sh installs it"));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// A gateway with PROXY headers in clear text and before TLS, and its two addresses.
async fn gateway(folder: &Folder, origin: &Origin) -> (Gateway, String, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let document = json!({
        "tollgate": {"listeners": [
            {"address": "127.0.0.1:0", "protocols": ["h1", "h2c"], "proxy_protocol": true},
            {"address": "127.0.0.1:0", "protocols": ["h1", "h2"], "proxy_protocol": true, "tls": true},
        ]},
        "ssls": [{"id": "local", "sni": "localhost", "cert": cert.pem(), "key": signing_key.serialize_pem()}],
        "routes": [{"id": "all", "uri": "/*", "upstream": {"nodes": {origin.address().to_string(): 1}}}],
    });
    let config = folder.write("gateway.json", &document.to_string());
    let gateway = Gateway::start_exactly(&["--config", &config]).await;
    let clear = gateway.hear("listening on http://").await;
    let secure = gateway.hear("listening on https://").await;
    let address = |line: String| line.rsplit_once("//").unwrap().1.to_owned();
    (gateway, address(clear), address(secure))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_haproxy_is_who_the_origin_is_told_of() {
    let origin = Origin::saying("here").await;
    let folder = Folder::new();
    let (_gateway, clear, secure) = gateway(&folder, &origin).await;
    let servers = [
        format!("{clear} send-proxy"),
        format!("{clear} send-proxy-v2"),
        format!("{secure} send-proxy"),
        format!("{secure} send-proxy-v2"),
        format!("{clear} send-proxy-v2 proxy-v2-options crc32c,unique-id"),
        // Its own checks are connections for nobody (LOCAL), and come in between.
        format!("{clear} send-proxy-v2 check check-send-proxy inter 50"),
    ];
    let haproxy = Haproxy::before(&servers).await;
    let mut requests = 0;
    for (address, server) in haproxy.addresses.iter().zip(&servers) {
        let scheme = if server.starts_with(&secure) { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/", address.port());
        let versions: &[&str] =
            if scheme == "https" { &["--http1.1", "--http2"] } else { &["--http1.1", "--http2-prior-knowledge"] };
        for version in versions {
            let answer = curl(&["-4", "--interface", "127.0.0.9", version, &url]).await;
            assert_eq!(answer, (true, "here".to_owned()), "{server} {version}");
            requests += 1;
            let seen = origin.requests();
            assert_eq!(seen.len(), requests, "{server} {version}");
            let request = seen.last().unwrap();
            assert_eq!(request.field("x-real-ip"), Some("127.0.0.9"), "{server} {version}: {request:?}");
            assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.9"), "{server} {version}");
            assert_eq!(request.field("x-forwarded-proto"), Some(scheme), "{server} {version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_without_a_header_is_not_served() {
    let origin = Origin::saying("here").await;
    let folder = Folder::new();
    let (_gateway, clear, secure) = gateway(&folder, &origin).await;
    for url in [format!("http://{clear}/"), format!("https://{secure}/")] {
        let (served, body) = curl(&[&url]).await;
        assert!(!served && body.is_empty(), "{url}: {body}");
    }
    assert!(origin.requests().is_empty());
}
