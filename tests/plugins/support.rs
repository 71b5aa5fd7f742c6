//! A gateway out of YAML on a free port, a recording origin behind it, and requests in one line.
//!
//! `127.0.0.1:7001` in a configuration stands for the origin: so the examples under `docs/plugins/examples` run as they are.
#![allow(dead_code, reason = "each plugin's tests use a part of these helpers")]
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tollgate::config::FileSource;
use tollgate::gateway::{Gateway, GatewayBuilder};
use tollgate::model::{Settings, Snapshot};
use tollgate::server::{Limits, Listener, Protocols, Server};

use super::peers::client::Client;
use super::peers::origin::Origin;
use super::peers::strict::Message;

/// What stands for the origin in a configuration.
const UPSTREAM: &str = "127.0.0.1:7001";

/// A running gateway and its origin, which answers 200 `origin` to everything. Both end with the value.
pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) origin: Origin,
    pub(crate) address: SocketAddr,
    /// Serves as long as it is held.
    _server: Server,
}

impl Rig {
    /// With every plugin that comes with the crate.
    pub(crate) async fn of(yaml: &str) -> Self {
        Self::with(Gateway::builder(), yaml).await
    }

    /// With what a test put into the builder.
    pub(crate) async fn with(builder: GatewayBuilder, yaml: &str) -> Self {
        Self::before(Origin::saying("origin").await, builder, yaml).await
    }

    /// Before an origin that answers as a test wants it.
    pub(crate) async fn before(origin: Origin, builder: GatewayBuilder, yaml: &str) -> Self {
        let gateway = builder.build().unwrap();
        let snapshot = snapshot(&yaml.replace(UPSTREAM, &origin.address().to_string()));
        let settings = Settings::clone(&snapshot.settings);
        if let Err(error) = gateway.apply(snapshot) {
            panic!("{error}\n{yaml}");
        }
        let connections = gateway.clone();
        let server = Server::builder()
            .limits(Limits::from(&settings.limits))
            .serve(move |client| connections.connection(client));
        let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::H1);
        let address = server.listen(listener).unwrap();
        Self { gateway, origin, address, _server: server }
    }

    /// The example of a plugin, as the documentation has it.
    pub(crate) async fn example(plugin: &str) -> Self {
        Self::of(&example(plugin)).await
    }

    /// Puts another configuration into force.
    pub(crate) fn apply(&self, yaml: &str) {
        if let Err(error) = self.gateway.apply(snapshot(&yaml.replace(UPSTREAM, &self.origin.address().to_string()))) {
            panic!("{error}\n{yaml}");
        }
    }

    /// A client on a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Sends the head of a request as it is, `Host` and the empty line added, and takes the answer.
    pub(crate) async fn ask(&self, request_line: &str, fields: &[(&str, &str)]) -> Message {
        self.ask_bytes(request_line, fields.iter().map(|(name, value)| (*name, value.as_bytes())), b"").await
    }

    /// As [`Rig::ask`], with values of any bytes, and with a body if it is not empty.
    pub(crate) async fn ask_bytes(
        &self,
        request_line: &str,
        fields: impl IntoIterator<Item = (&str, &[u8])>,
        body: &[u8],
    ) -> Message {
        let mut bytes = format!("{request_line} HTTP/1.1\r\nHost: gw.test\r\n").into_bytes();
        for (name, value) in fields {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if !body.is_empty() {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        let mut client = self.client().await;
        client.send(bytes).await;
        client.answer_to(request_line.split(' ').next().unwrap_or_default()).await
    }

    /// A GET of that target.
    pub(crate) async fn get(&self, target: &str, fields: &[(&str, &str)]) -> Message {
        self.ask(&format!("GET {target}"), fields).await
    }

    /// The last request that the origin got.
    pub(crate) fn forwarded(&self) -> Message {
        self.origin.requests().pop().expect("nothing was forwarded")
    }

    /// How many requests the origin got.
    pub(crate) fn forwarded_count(&self) -> usize {
        self.origin.requests().len()
    }
}

/// The snapshot of a document without any fault.
pub(crate) fn snapshot(yaml: &str) -> Snapshot {
    let read = FileSource::new("apisix.yaml").with_environment(|_| None).read(yaml.as_bytes()).unwrap();
    let errors: Vec<_> = read.errors().map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{yaml}");
    read.snapshot
}

/// What a gateway with every plugin says of a document that it refuses, all faults in one text.
pub(crate) fn refused(yaml: &str) -> String {
    let read = FileSource::new("apisix.yaml").with_environment(|_| None).read(yaml.as_bytes()).unwrap();
    let mut faults: Vec<_> = read.errors().map(ToString::to_string).collect();
    if let Err(error) = Gateway::builder().build().unwrap().apply(read.snapshot) {
        faults.push(error.to_string());
    }
    assert!(!faults.is_empty(), "nothing was refused in\n{yaml}");
    faults.join("\n")
}

/// One route `/*` to the origin with this block of plugins (YAML of the mapping, indented by any amount or in flow style).
pub(crate) fn route_with(plugins: &str) -> String {
    format!("routes: [{{id: r, uri: /*, plugins: {plugins}, upstream: {{nodes: {{\"{UPSTREAM}\": 1}}}}}}]\n")
}

/// The text of `docs/plugins/examples/<plugin>.yaml`.
pub(crate) fn example(plugin: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plugins/examples").join(format!("{plugin}.yaml"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A member of an own answer's JSON body, such as `message` or `error_msg`.
pub(crate) fn said(answer: &Message, member: &str) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"));
    body[member].as_str().unwrap_or_else(|| panic!("no {member} in {body}")).to_owned()
}

#[tokio::test]
async fn requests_pass_a_route_without_plugins_and_are_recorded() {
    let rig = Rig::of(&route_with("{}")).await;
    let answer = rig.ask_bytes("POST /a?b", [("X-Way", &b"1"[..])], b"body").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"));
    assert_eq!((rig.forwarded().target(), rig.forwarded().body.as_slice()), ("/a?b", &b"body"[..]));
    assert_eq!(rig.forwarded_count(), 1);
    rig.apply("routes: []\n");
    assert_eq!(said(&rig.get("/", &[]).await, "error_msg"), "404 Route Not Found");
    assert!(refused(&route_with("{no-such-plugin: {}}")).contains("no-such-plugin"));
}
