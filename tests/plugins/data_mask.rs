//! `data-mask` in a whole gateway, on its access log.
use std::io;
use std::sync::mpsc::{Sender, channel};

use tollgate::gateway::Gateway;
use tollgate::server::access_log::{AccessLogLayer, AccessLogSink, AccessLogWriter, Format};
use tollgate::server::{Listener, Server};
use tower::Layer as _;

use super::peers::client::Client;
use super::peers::origin::Origin;
use super::support::{example, refused, route_with, snapshot};

/// Passes lines on.
struct Lines(Sender<String>);

impl AccessLogSink for Lines {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.send(String::from_utf8_lossy(lines).into_owned()).map_err(io::Error::other)
    }
}

/// The line of a request, and what the upstream got of it.
async fn logged(yaml: &str, request: &str) -> (String, String) {
    let origin = Origin::saying("origin").await;
    let gateway = Gateway::builder().build().unwrap();
    gateway.apply(snapshot(&yaml.replace("127.0.0.1:7001", &origin.address().to_string()))).unwrap();
    let (sender, lines) = channel();
    let layer = AccessLogLayer::new(Format::Combined, AccessLogWriter::spawn(Lines(sender)).unwrap());
    let server =
        Server::builder().serve(move |client| layer.connection(client.clone()).layer(gateway.connection(client)));
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into())).unwrap();
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.answer().await;
    let line = tokio::task::spawn_blocking(move || lines.recv().unwrap()).await.unwrap();
    (line, origin.requests().pop().map(|request| request.target().to_owned()).unwrap_or_default())
}

#[tokio::test]
async fn the_example_hides_what_the_upstream_gets() {
    let target = "/buy?email=a%40b.test&card=4111111111111111&x=%31";
    let request = format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\nReferer: http://shop.test/?email=a\r\n\r\n");
    let (line, forwarded) = logged(&example("data-mask"), &request).await;
    assert_eq!(forwarded, "/buy?email=a%40b.test&card=4111111111111111&x=%31");
    assert!(line.contains("\"GET /buy?card=****1111&x=%31 HTTP/1.1\" 200"), "{line}");
    assert!(line.contains("\"http://shop.test/\""), "{line}");
}

#[tokio::test]
async fn requests_without_a_route_are_masked_by_global_rules() {
    let yaml = example("data-mask").replace("uri: /*", "uri: /only");
    let (line, _) = logged(&yaml, "GET /none?email=a HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
    assert!(line.contains("\"GET /none HTTP/1.1\" 404"), "{line}");
}

#[tokio::test]
async fn what_is_refused_before_it_has_a_route_is_masked_by_global_rules() {
    for (request, line) in [
        (
            "POST /buy?email=a&x=1 HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 99999999\r\n\r\n",
            "\"POST /buy?x=1 HTTP/1.1\" 413",
        ),
        ("GET /%00?email=a&x=1 HTTP/1.1\r\nHost: gw.test\r\n\r\n", "?x=1 HTTP/1.1\" 400"),
    ] {
        let (logged, forwarded) = logged(&example("data-mask"), request).await;
        assert!(logged.contains(line) && forwarded.is_empty(), "{logged}");
    }
}

#[test]
fn faults_are_named_by_their_place() {
    let text = refused(&route_with("{data-mask: {request: [{type: query, name: a, action: replace}]}}"));
    assert!(text.contains("plugins.data-mask.request.0.value: "), "{text}");
}
