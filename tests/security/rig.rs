//! A whole gateway between a raw client and a recording origin, in front of it our own listener or a host's hyper server.
use std::net::SocketAddr;

use http::StatusCode;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tollgate::gateway::{Gateway, GatewayBuilder, Route};
use tollgate::model::{NodeSpec, Settings};
use tollgate::server::{Limits, Listener, Protocols, Server};
use tollgate::{ConnectInfo, Next, reject};

use crate::peers::client::Client;
use crate::peers::origin::Origin;
use crate::peers::strict::{self, Message};
use crate::peers::{End, text};

/// Whose server the requests come in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// Our own listener.
    Own,
    /// A host's hyper server, HTTP/1.
    Host,
}

/// Both, for rules that hold in a host's server as well.
pub(crate) const BOTH: [Front; 2] = [Front::Own, Front::Host];

/// A gateway that accepts connections; it ends with the value.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    /// Serves as long as it is held.
    _server: Option<Server>,
    host: Option<JoinHandle<()>>,
}

impl Gate {
    pub(crate) async fn open(front: Front, gateway: Gateway, settings: &Settings) -> Self {
        match front {
            Front::Own => Self::own(gateway, settings, Protocols::H1),
            Front::Host => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let host = tokio::spawn(host(listener, gateway));
                Self { address, _server: None, host: Some(host) }
            }
        }
    }

    pub(crate) fn own(gateway: Gateway, settings: &Settings, protocols: Protocols) -> Self {
        let server =
            Server::builder().limits(Limits::from(&settings.limits)).serve(move |client| gateway.connection(client));
        let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(protocols)).unwrap();
        Self { address, _server: Some(server), host: None }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(host) = &self.host {
            host.abort();
        }
    }
}

/// hyper's server as an embedding program writes it.
async fn host(listener: TcpListener, gateway: Gateway) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else { return };
        let info = ConnectInfo::new(peer).with_local(stream.local_addr().unwrap());
        let service = TowerToHyperService::new(gateway.connection(info));
        let mut http1 = hyper::server::conn::http1::Builder::new();
        connections
            .spawn(http1.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}

/// A node that is an origin of raw bytes.
pub(crate) fn node(origin: &Origin) -> NodeSpec {
    NodeSpec::host("127.0.0.1", origin.address().port())
}

/// A gateway and the one origin that all its routes lead to.
pub(crate) struct Rig {
    pub(crate) front: Front,
    pub(crate) origin: Origin,
    pub(crate) gate: Gate,
}

impl Rig {
    /// Nothing configured but one route to an origin that answers `ok`.
    pub(crate) async fn new(front: Front) -> Self {
        Self::to(front, Origin::saying("ok").await).await
    }

    /// Nothing configured but one route to this origin.
    pub(crate) async fn to(front: Front, origin: Origin) -> Self {
        Self::with(front, origin, Settings::default(), |builder, node| builder.route(Route::new("/*").to_nodes([node])))
            .await
    }

    pub(crate) async fn with(
        front: Front,
        origin: Origin,
        settings: Settings,
        build: impl FnOnce(GatewayBuilder, NodeSpec) -> GatewayBuilder,
    ) -> Self {
        let gateway = build(Gateway::builder().settings(settings.clone()), node(&origin)).build().unwrap();
        Self { front, gate: Gate::open(front, gateway, &settings).await, origin }
    }

    /// A route for everything, and a layer on `/admin` and below it that answers 403.
    pub(crate) async fn guarded(front: Front) -> Self {
        Self::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
            let guard = || tower::layer::layer_fn(|_: Next| deny(StatusCode::FORBIDDEN));
            builder
                .route(Route::new("/admin").layer(guard()).to_nodes([node.clone()]))
                .route(Route::new("/admin/*").layer(guard()).to_nodes([node.clone()]))
                .route(Route::new("/*").to_nodes([node]))
        })
        .await
    }

    pub(crate) async fn client(&self) -> Client {
        self.gate.client().await
    }

    /// Sends bytes on a connection of their own; the answer to them, as to a GET.
    pub(crate) async fn ask(&self, bytes: impl AsRef<[u8]>) -> Message {
        let mut client = self.client().await;
        client.send(bytes).await;
        client.answer().await
    }

    /// Sends bytes that are to be refused, with another request behind them: one answer with this status, then the end, and
    /// not a byte at the origin.
    ///
    /// A host's server goes on behind the answer to what it could read itself, so there nothing is sent behind.
    pub(crate) async fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16) {
        let bytes = bytes.as_ref();
        let mut client = self.client().await;
        client.send(bytes).await;
        if self.front == Front::Own {
            client.send("GET /behind HTTP/1.1\r\nHost: h\r\n\r\n").await;
        }
        let method = if bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        let answer = client.answer_to(method).await;
        assert_eq!(answer.status(), status, "{:?} to {}", self.front, text(bytes));
        if self.front == Front::Own {
            assert_eq!(answer.field("connection"), Some("close"), "to {}", text(bytes));
            assert_eq!(client.end().await, End::Closed, "to {}", text(bytes));
        }
        self.untouched(bytes);
    }

    /// Sends a request that can be read in one way only and is to be refused nevertheless: its connection may go on.
    pub(crate) async fn rejects(&self, bytes: impl AsRef<[u8]>, status: u16) {
        let answer = self.ask(bytes.as_ref()).await;
        assert_eq!(answer.status(), status, "{:?} to {}", self.front, text(bytes.as_ref()));
        self.untouched(bytes);
    }

    /// Nothing reached the origin.
    pub(crate) fn untouched(&self, because_of: impl AsRef<[u8]>) {
        let seen = self.origin.seen();
        assert!(
            seen.iter().all(|one| one.bytes.is_empty()),
            "{:?} let {} pass: {seen:?}",
            self.front,
            text(because_of.as_ref())
        );
    }

    /// Sends one request and expects `ok`; what the origin got of it, as the strict parser reads it.
    pub(crate) async fn forwards(&self, bytes: impl AsRef<[u8]>) -> Message {
        let before = self.origin.requests().len();
        let mut client = self.client().await;
        client.send(bytes.as_ref()).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 200, "{:?} to {}", self.front, text(bytes.as_ref()));
        let mut requests = self.origin.requests();
        assert_eq!(requests.len(), before + 1, "{:?}: {}", self.front, text(bytes.as_ref()));
        requests.pop().unwrap()
    }

    /// What the origin got on a connection never became a whole request, and the connection was ended by the gateway.
    pub(crate) async fn aborted(&self, connection: usize, because_of: impl AsRef<[u8]>) {
        let seen = self.origin.wait(|seen| seen.get(connection).is_some_and(|one| one.end.is_some())).await;
        let bytes = &seen[connection].bytes;
        assert!(
            matches!(strict::request(bytes), Ok(None)),
            "{:?}: {} became {}",
            self.front,
            text(because_of.as_ref()),
            text(bytes)
        );
    }
}

/// What answers in place of the upstream, as an authenticating plugin would.
pub(crate) fn deny(status: StatusCode) -> Next {
    Next::from_fn(move |_| async move { reject(status, "guard", "no") })
}

/// A GET of a path.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A GET with more field lines, each with its CR LF.
pub(crate) fn get_with(fields: &str) -> String {
    format!("GET /with HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

/// A POST with more field lines, each with its CR LF, and what stands behind the head.
pub(crate) fn post(fields: &str, body: &str) -> String {
    format!("POST /post HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

/// A POST whose body is chunked.
pub(crate) fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}
