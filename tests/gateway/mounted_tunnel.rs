//! Upgrades of a gateway that a host mounts in its own hyper server.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tollgate::gateway::Gateway;
use tollgate::{Body, Next, UpgradedIo};

use super::support::snapshot;

const WISH: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn sec_upg_05_a_mounted_tunnel_relays_and_ends_after_silence() {
    let (ours, mut origin) = tokio::io::duplex(1 << 16);
    let slot = Arc::new(Mutex::new(Some(ours)));
    let granting = Next::from_fn(move |_: Request<Body>| {
        let ours = slot.lock().unwrap().take().unwrap();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.extensions_mut().insert(UpgradedIo::new(ours, Bytes::from_static(b"early ")));
        std::future::ready(response)
    });
    let gateway = Gateway::builder().endpoint("origin", granting).build().unwrap();
    gateway
        .apply(snapshot(&json!({"routes": [{
            "id": "r", "uri": "/", "enable_websocket": true,
            "upstream": {"nodes": [{"service": "origin", "weight": 1}]},
        }]})))
        .unwrap();
    let (mut client, host) = tokio::io::duplex(1 << 16);
    let server = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(host), TowerToHyperService::new(gateway))
        .with_upgrades();
    tokio::spawn(server);
    client.write_all(WISH).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\nearly ") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));

    let started = Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        client.write_all(b"ping").await.unwrap();
        let mut heard = [0; 4];
        origin.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
    }
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(origin.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(started.elapsed().as_secs(), 210);
}
