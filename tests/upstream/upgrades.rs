//! Tunnels (security.md §6).
use std::time::Duration;

use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate::upstream::{ForwardContext, Timeouts, UpstreamService};
use tollgate::{Body, UpgradeWish, UpgradedIo};
use tower::ServiceExt as _;

use crate::support::*;

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\nx-a: 1\r\n\r\n";

/// Answers with `head` and then echoes.
async fn echoing(head: &'static str) -> Origin {
    Origin::start(move |mut conn| async move {
        conn.request().await;
        conn.send(head).await;
        let (mut read, mut write) = conn.stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

#[tokio::test]
async fn an_allowed_upgrade_is_a_tunnel_and_holds_no_place() {
    let head: &str = format!("{SWITCH}early").leak();
    let origin = echoing(head).await;
    let client = Client::of(&origin);
    let websocket = HeaderValue::from_static("websocket");
    let timeouts = Timeouts { read: Duration::from_secs(3600), ..Timeouts::default() };
    let cx = ForwardContext { upgrade: Some(&websocket), timeouts: Some(&timeouts), ..ForwardContext::default() };
    let response = client.forward(request("GET", "/chat", Body::empty()), cx).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["x-a"]), (101, &HeaderValue::from_static("1")));
    assert_eq!(
        origin.seen()[0],
        "GET /chat HTTP/1.1\r\nhost: client.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    let upgraded = response.extensions().get::<UpgradedIo>().unwrap();
    assert_eq!(upgraded.idle_timeout(), Some(timeouts.read));
    let (mut io, early) = upgraded.take().unwrap();
    assert_eq!(early, "early");
    assert_eq!(client.upstream.active_requests(), 0);
    io.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    io.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    io.shutdown().await.unwrap();
    assert_eq!(io.read(&mut echo).await.unwrap(), 0);
    client.idle(0).await;
}

#[tokio::test]
async fn sec_upg_02_another_answer_stays_http() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno").await;
    let client = Client::of(&origin);
    let websocket = HeaderValue::from_static("websocket");
    let cx = ForwardContext { upgrade: Some(&websocket), ..ForwardContext::default() };
    let response = client.forward(request("GET", "/", Body::empty()), cx).await.unwrap();
    assert!(response.extensions().get::<UpgradedIo>().is_none());
    assert_eq!(text(response).await.unwrap(), "no");
    client.idle(1).await;
}

#[tokio::test]
async fn sec_upg_02_a_switch_to_something_else_is_refused() {
    for head in [
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let origin = echoing(head).await;
        let websocket = HeaderValue::from_static("websocket");
        let cx = ForwardContext { upgrade: Some(&websocket), ..ForwardContext::default() };
        let error = Client::of(&origin).forward(request("GET", "/", Body::empty()), cx).await.unwrap_err();
        assert_eq!((error.reason(), error.status().as_u16()), ("malformed_response", 502), "{head}");
    }
}

#[tokio::test]
async fn sec_upg_04_a_switch_that_was_not_asked_for_is_a_502() {
    let origin = echoing(SWITCH).await;
    let client = Client::of(&origin);
    let error = client.get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("malformed_response", 502));
    client.idle(0).await;
}

#[tokio::test]
async fn sec_upg_01_the_service_for_hosts_upgrades_only_when_told_so() {
    let origin = echoing(SWITCH).await;
    let client = Client::of(&origin);
    let wish = || {
        let mut request = request("GET", "/", Body::empty());
        request.headers_mut().insert("connection", HeaderValue::from_static("upgrade, x-hop"));
        request.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
        request.headers_mut().insert("x-hop", HeaderValue::from_static("1"));
        request.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
        request.extensions_mut().insert(UpgradeWish(HeaderValue::from_static("websocket")));
        request
    };
    let service = UpstreamService::new(client.upstream.clone());
    assert_eq!(service.clone().oneshot(wish()).await.unwrap_err().reason(), "malformed_response");
    assert_eq!(service.with_upgrades().oneshot(wish()).await.unwrap().status(), 101);
    let plain = "GET / HTTP/1.1\r\nhost: client.test\r\n";
    assert_eq!(
        origin.seen(),
        [format!("{plain}\r\n"), format!("{plain}connection: upgrade\r\nupgrade: websocket\r\n\r\n")]
    );
}
