//! A gateway before an origin, with listeners for HTTP/1 and HTTP/2.
use std::net::SocketAddr;

use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::model::{ReadOptions, Snapshot, read};
use tollgate::server::{Listener, Protocols, Server};

/// A gateway with one route to everything; ends with the value.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) gateway: Gateway,
    _server: Server,
}

impl Front {
    /// Leads to a gRPC origin.
    pub(crate) fn of_grpc(origin: SocketAddr) -> Self {
        Self::leading_to(&json!({"scheme": "grpc", "nodes": {(origin.to_string()): 1}}))
    }

    /// Leads to an origin that speaks HTTP/1.
    pub(crate) fn of_http(origin: SocketAddr) -> Self {
        Self::leading_to(&json!({"nodes": {(origin.to_string()): 1}}))
    }

    pub(crate) fn leading_to(upstream: &Value) -> Self {
        Self::of_routes(&json!([{"id": "r", "uri": "/*", "enable_websocket": true, "upstream": upstream}]))
    }

    pub(crate) fn of_routes(routes: &Value) -> Self {
        Self::of(&json!({"routes": routes}))
    }

    pub(crate) fn of(document: &Value) -> Self {
        let gateway = Gateway::builder().build().unwrap();
        gateway.apply(snapshot(document)).unwrap();
        let connections = gateway.clone();
        let server = Server::builder().serve(move |info| connections.connection(info));
        let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::Both);
        let address = server.listen(listener).unwrap();
        Self { address, gateway, _server: server }
    }
}

/// The snapshot of a document without a fault in its form.
pub(crate) fn snapshot(document: &Value) -> Snapshot {
    let read = read(document, &ReadOptions::default());
    assert_eq!(read.errors().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    read.snapshot
}
