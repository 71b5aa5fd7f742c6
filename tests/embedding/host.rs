//! The hosts, and what each of them does alike.
use std::net::SocketAddr;

use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tollgate::ConnectInfo;
use tollgate::gateway::Gateway;
use tollgate::model::{ReadOptions, Settings, read};
use tollgate::server::{Limits, Listener, Server};

use super::peers::client::Client;
use super::peers::origin::Origin;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Axum,
    Hyper,
    Own,
}

pub(crate) const ALL: [Kind; 3] = [Kind::Axum, Kind::Hyper, Kind::Own];

/// A running host; ends with the value.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    serving: Option<JoinHandle<()>>,
    _server: Option<Server>,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

impl Host {
    /// A host that leads everything to one address: `/socket` with WebSockets, all else without.
    pub(crate) async fn leading_to(kind: Kind, upstream: SocketAddr) -> Self {
        let document = json!({
            "upstreams": [{"id": "u", "nodes": {upstream.to_string(): 1}}],
            "routes": [
                {"id": "all", "uri": "/*", "upstream_id": "u"},
                {"id": "socket", "uri": "/socket", "upstream_id": "u", "enable_websocket": true},
            ],
            "tollgate": {"limits": {"body_bytes": 1_u64 << 30}},
        });
        let read = read(&document, &ReadOptions::default());
        let settings = Settings::clone(&read.snapshot.settings);
        let gateway = Gateway::builder().build().unwrap();
        gateway.apply(read.snapshot).unwrap();
        Self::start(kind, gateway, &settings).await
    }

    async fn start(kind: Kind, gateway: Gateway, settings: &Settings) -> Self {
        if kind == Kind::Own {
            let limits = Limits::from(&settings.limits);
            let server = Server::builder().limits(limits).serve(move |client| gateway.connection(client));
            let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into())).unwrap();
            return Self { address, serving: None, _server: Some(server) };
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = match kind {
            Kind::Axum => tokio::spawn(axum(listener, gateway)),
            _ => tokio::spawn(hyper(listener, gateway)),
        };
        Self { address, serving: Some(serving), _server: None }
    }
}

async fn axum(listener: TcpListener, gateway: Gateway) {
    let app = axum::Router::new().route("/own", get(|| async { "axum's own" })).fallback_service(gateway);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
}

async fn hyper(listener: TcpListener, gateway: Gateway) {
    // Dropped with this task, and the connections with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(gateway.connection(ConnectInfo::new(peer)));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        connections.spawn(async move { drop(connection.await) });
    }
}

#[tokio::test]
async fn requests_pass_and_the_origin_is_told_who_asked() {
    for kind in ALL {
        let origin = Origin::saying("net").await;
        let host = Host::leading_to(kind, origin.address()).await;
        let mut client = Client::connect(host.address).await;
        for _ in 0..3 {
            client.send("POST /a/%7Eb?q=1 HTTP/1.1\r\nHost: gw.test\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Forwarded-For: 6.6.6.6\r\nContent-Length: 5\r\n\r\nhello").await;
            let answer = client.answer().await;
            assert_eq!((answer.status(), &*answer.text()), (200, "net"), "{kind:?}");
        }
        let requests = origin.requests();
        assert_eq!((requests.len(), origin.seen().len()), (3, 1), "{kind:?}");
        let request = &requests[0];
        assert_eq!(
            (request.target(), request.field("host"), &*request.text()),
            ("/a/~b?q=1", Some("gw.test"), "hello")
        );
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"), "{kind:?}");
        assert_eq!((request.field("x-hop"), request.field("x-real-ip")), (None, Some("127.0.0.1")), "{kind:?}");
    }
}

#[tokio::test]
async fn an_axum_app_keeps_its_own_routes() {
    let origin = Origin::saying("net").await;
    let host = Host::leading_to(Kind::Axum, origin.address()).await;
    let mut client = Client::connect(host.address).await;
    for (path, text) in [("/own", "axum's own"), ("/other", "net")] {
        client.send(format!("GET {path} HTTP/1.1\r\nhost: gw.test\r\n\r\n")).await;
        assert_eq!(client.answer().await.text(), text);
    }
    assert_eq!(origin.request().target(), "/other");
}
