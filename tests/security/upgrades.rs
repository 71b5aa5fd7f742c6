//! Upgrades and WebSocket (UPG).
use http::StatusCode;
use tollgate::Next;
use tollgate::gateway::Route;
use tollgate::model::Settings;

use crate::peers::origin::{Origin, Step};
use crate::peers::{End, text};
use crate::rig::{BOTH, Front, Rig, deny, get};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const GRANT: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

fn wish(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: {token}\r\n{KEY}\r\n")
}

/// A route for WebSocket at `/ws`, a plain one for the rest, and a layer that answers 401 at `/private`.
async fn rig(front: Front, origin: Origin) -> Rig {
    Rig::with(front, origin, Settings::default(), |builder, node| {
        let guard = tower::layer::layer_fn(|_: Next| deny(StatusCode::UNAUTHORIZED));
        builder
            .route(Route::new("/ws").websocket(true).to_nodes([node.clone()]))
            .route(Route::new("/private").layer(guard).to_nodes([node.clone()]))
            .route(Route::new("/*").to_nodes([node]))
    })
    .await
}

#[tokio::test]
async fn sec_upg_01_only_what_a_route_allows_is_passed_on() {
    for front in BOTH {
        let rig = rig(front, Origin::saying("ok").await).await;
        for (path, token) in [
            ("/plain", "websocket"),
            ("/ws", "foo"),
            ("/ws", "h2c"),
            ("/ws", "websocket, foo"),
            ("/ws", "foo, websocket"),
            ("/ws", "TLS/1.0"),
            ("/ws", "websocket/13"),
        ] {
            let request = rig.forwards(wish(path, token)).await;
            assert!(
                request.all("upgrade").is_empty() && request.all("connection").is_empty(),
                "{front:?} {token}: {request:?}"
            );
        }
    }
}

#[tokio::test]
async fn sec_upg_02_nothing_is_passed_on_before_the_switch() {
    for front in BOTH {
        // granted: what came behind the head follows it, and only behind the 101
        let steps = vec![
            Step::until("\r\n\r\n"),
            Step::send(format!("{GRANT}welcome")),
            Step::until("early"),
            Step::send("echo"),
        ];
        let origin = Origin::scripted(move |_| steps.clone()).await;
        let granted = rig(front, origin).await;
        let mut client = granted.client().await;
        client.send(wish("/ws", "WebSocket") + "early").await;
        client.until("\r\n\r\nwelcome").await;
        client.until("echo").await;
        // not granted: what came behind the head is a request, judged of its own
        for answer in ["200 OK", "400 Bad Request", "426 Upgrade Required"] {
            let origin = Origin::answering(format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\nno")).await;
            let rig = rig(front, origin).await;
            let mut client = rig.client().await;
            client.send(wish("/ws", "websocket") + &*get("/private") + &*get("/open")).await;
            assert_eq!(client.answer().await.status().to_string(), answer[..3], "{front:?}");
            assert_eq!(client.answer().await.status(), 401, "{front:?}");
            assert_eq!(client.answer().await.status().to_string(), answer[..3], "{front:?}");
            let targets: Vec<_> = rig.origin.requests().iter().map(|one| one.target().to_owned()).collect();
            assert_eq!(targets, ["/ws", "/open"], "{front:?}");
        }
    }
}

#[tokio::test]
async fn sec_upg_03_a_wish_with_a_body_or_in_http_10_is_none() {
    for front in BOTH {
        let rig = rig(front, Origin::saying("ok").await).await;
        for bytes in [
            format!(
                "POST /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{KEY}Content-Length: 5\r\n\r\nhello"
            ),
            format!(
                "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{KEY}Content-Length: 5\r\n\r\nhello"
            ),
            format!("GET /ws HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n"),
            format!("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n{KEY}\r\n"),
        ] {
            let request = rig.forwards(&bytes).await;
            assert!(request.all("upgrade").is_empty() && request.all("connection").is_empty(), "{front:?} {bytes}");
        }
    }
}

#[tokio::test]
async fn sec_upg_04_a_switch_that_nobody_asked_for_is_a_502() {
    for front in BOTH {
        for (path, token, grant) in [
            ("/plain", "websocket", GRANT.to_owned()),
            ("/ws", "foo", GRANT.to_owned()),
            ("/ws", "websocket", GRANT.replace("websocket", "foo")),
            ("/ws", "websocket", GRANT.replace("Upgrade: websocket\r\n", "")),
            ("/ws", "websocket", GRANT.replace("Connection: Upgrade\r\n", "")),
        ] {
            let steps = vec![Step::until("\r\n\r\n"), Step::send(format!("{grant}HTTP/1.1 200 OK\r\n\r\n"))];
            let rig = rig(front, Origin::scripted(move |_| steps.clone()).await).await;
            let answer = rig.ask(wish(path, token)).await;
            assert_eq!(answer.status(), 502, "{front:?} {path} {token} {}", text(grant.as_bytes()));
            rig.origin.end_of(0).await;
        }
        let rig = Rig::to(front, Origin::scripted(|_| vec![Step::Request, Step::send(GRANT)]).await).await;
        assert_eq!(rig.ask(get("/")).await.status(), 502);
        rig.origin.end_of(0).await;
    }
}

#[tokio::test]
async fn sec_upg_05_either_end_ends_the_tunnel() {
    for front in BOTH {
        let steps = vec![Step::until("\r\n\r\n"), Step::send(GRANT), Step::until("bye"), Step::Close];
        let origin = Origin::scripted(move |_| steps.clone()).await;
        let rig = rig(front, origin).await;
        let mut client = rig.client().await;
        client.send(wish("/ws", "websocket")).await;
        client.until("\r\n\r\n").await;
        client.send("bye").await;
        assert_eq!(client.end().await, End::Closed, "{front:?}");
        let mut client = rig.client().await;
        client.send(wish("/ws", "websocket")).await;
        client.until("\r\n\r\n").await;
        drop(client);
        rig.origin.end_of(1).await;
    }
}

#[tokio::test]
async fn sec_upg_06_a_handshake_that_cannot_succeed_is_never_sent_on() {
    for front in BOTH {
        let rig = rig(front, Origin::saying("ok").await).await;
        let with = |fields: &str| {
            format!("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{fields}\r\n")
        };
        for fields in [
            "",
            "Sec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12\r\n",
            "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n",
            &format!("{KEY}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            &format!("{KEY}Sec-WebSocket-Version: 13\r\n"),
        ] {
            assert_eq!(rig.ask(with(fields)).await.status(), 400, "{front:?} {fields}");
            rig.untouched(fields);
        }
    }
}

#[tokio::test]
async fn sec_upg_06_a_route_may_name_the_origins_it_takes() {
    use serde_json::json;
    for front in BOTH {
        let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            let guard = tower::layer::layer_fn(|_: Next| deny(StatusCode::FORBIDDEN));
            builder
                .route(
                    Route::new("/ws")
                        .websocket(true)
                        .priority(1)
                        .vars(json!([["http_origin", "in", ["https://good.test"]]]))
                        .to_nodes([node.clone()]),
                )
                .route(Route::new("/ws").layer(guard).to_nodes([node]))
        })
        .await;
        let with =
            |origin: &str| wish("/ws", "websocket").replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
        assert_eq!(rig.ask(with("https://evil.test")).await.status(), 403, "{front:?}");
        rig.untouched("a foreign origin");
        assert_eq!(rig.ask(with("https://good.test")).await.status(), 200, "{front:?}");
    }
}
