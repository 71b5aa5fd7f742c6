//! The same rules for requests that come over HTTP/2 (h2c on our own listener) and go on over HTTP/1.
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tollgate::Next;
use tollgate::gateway::{Gateway, Route};
use tollgate::model::Settings;
use tollgate::server::Protocols;

use crate::peers::origin::Origin;
use crate::peers::strict::Message;
use crate::rig::{Gate, deny, node};

/// A gateway on h2c with a layer on `/admin` that answers 403, an origin, and a client that sends what it is told.
struct Rig {
    origin: Origin,
    _gate: Gate,
    client: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Rig {
    async fn new() -> Self {
        let origin = Origin::saying("ok").await;
        let guard = || tower::layer::layer_fn(|_: Next| deny(StatusCode::FORBIDDEN));
        let gateway = Gateway::builder()
            .route(Route::new("/admin").layer(guard()).to_nodes([node(&origin)]))
            .route(Route::new("/admin/*").layer(guard()).to_nodes([node(&origin)]))
            .route(Route::new("*").to_nodes([node(&origin)]));
        let gate = Gate::own(gateway.build().unwrap(), &Settings::default(), Protocols::H2);
        let stream = TcpStream::connect(gate.address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { origin, _gate: gate, client, connection }
    }

    /// Sends a head, pieces of a body and trailers; the status, or `None` when the stream was reset.
    async fn send(&self, request: Request<()>, body: &[&'static str], trailers: Option<HeaderMap>) -> Option<u16> {
        let mut client = self.client.clone().ready().await.unwrap();
        let ends = body.is_empty() && trailers.is_none();
        let (response, mut stream) = client.send_request(request, ends).unwrap();
        for (at, piece) in body.iter().enumerate() {
            let last = at + 1 == body.len() && trailers.is_none();
            if stream.send_data(Bytes::from_static(piece.as_bytes()), last).is_err() {
                break;
            }
        }
        if let Some(trailers) = trailers {
            stream.send_trailers(trailers).unwrap();
        }
        let answer = crate::peers::within(|| "an answer over HTTP/2".to_owned(), response).await;
        answer.ok().map(|response| response.status().as_u16())
    }

    async fn get(&self, uri: &str) -> Option<u16> {
        self.send(Request::get(uri).body(()).unwrap(), &[], None).await
    }

    /// Sends a request that is answered 200; what the origin got of it.
    async fn forwards(
        &self,
        request: http::request::Builder,
        body: &[&'static str],
        trailers: Option<HeaderMap>,
    ) -> Message {
        assert_eq!(self.send(request.body(()).unwrap(), body, trailers).await, Some(200));
        self.origin.requests().pop().unwrap()
    }
}

#[tokio::test]
async fn sec_path_01_one_canonical_path_over_http_2() {
    let rig = Rig::new().await;
    for spelling in ["/admin", "/s/../admin", "/s/%2e%2e/admin", "/%61dmin", "//admin", "/./admin/x", "/../admin"] {
        assert_eq!(rig.get(&format!("http://h{spelling}")).await, Some(403), "{spelling}");
    }
    for bad in ["/a%2fb", "/a%00", "/s/..;/admin", "/a%zz"] {
        assert_eq!(rig.get(&format!("http://h{bad}")).await, Some(400), "{bad}");
    }
    assert!(rig.origin.seen().is_empty());
    let request = rig.forwards(Request::get("http://H.test:81/a/../b//%63?x=%63"), &[], None).await;
    assert_eq!((request.start.as_str(), request.field("host")), ("GET /b/c?x=%63 HTTP/1.1", Some("H.test:81")));
}

#[tokio::test]
async fn sec_hop_03_fields_that_only_the_gateway_sets_over_http_2() {
    let rig = Rig::new().await;
    let request = Request::get("http://h/")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-real-ip", "6.6.6.6")
        .header("x-consumer-username", "root")
        .header("x_forwarded_proto", "https")
        .header("proxy", "http://evil.test")
        .header("te", "trailers");
    let got = rig.forwards(request, &[], None).await;
    for (field, value) in [
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-real-ip", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-consumer-username", None),
        ("x_forwarded_proto", None),
        ("proxy", None),
        ("te", Some("trailers")),
    ] {
        assert_eq!(got.field(field), value, "{field}");
    }
}

#[tokio::test]
async fn sec_h1_13_other_target_forms_over_http_2() {
    let rig = Rig::new().await;
    for method in ["TRACE", "CONNECT"] {
        let request = Request::builder().method(method).uri("http://h:80/").body(()).unwrap();
        assert_ne!(rig.send(request, &[], None).await, Some(200), "{method}");
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some("h".parse().unwrap());
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("*"));
    let star = http::Uri::from_parts(parts).unwrap();
    assert_eq!(rig.send(Request::get(star.clone()).body(()).unwrap(), &[], None).await, Some(400));
    assert!(rig.origin.seen().is_empty());
    assert_eq!(rig.forwards(Request::options(star), &[], None).await.start, "OPTIONS * HTTP/1.1");
}

#[tokio::test]
async fn sec_h2_03_host_and_authority_agree_at_the_gateway() {
    let rig = Rig::new().await;
    for (host, status) in [("evil.test", 400), ("h:80", 400), ("h", 200), ("H", 200)] {
        let request = Request::get("http://h/").header("host", host).body(()).unwrap();
        assert_eq!(rig.send(request, &[], None).await, Some(status), "{host}");
    }
    let twice = Request::get("http://h/").header("host", "h").header("host", "h").body(()).unwrap();
    assert_eq!(rig.send(twice, &[], None).await, Some(400));
}

#[tokio::test]
async fn sec_h2_05_a_body_of_another_length_never_becomes_a_request() {
    for (length, pieces) in [("10", vec!["hello"]), ("3", vec!["hello"]), ("10", vec![]), ("0", vec!["hello"])] {
        let rig = Rig::new().await;
        let request = Request::post("http://h/").header("content-length", length).body(()).unwrap();
        assert_ne!(rig.send(request, &pieces, None).await, Some(200), "{length} {pieces:?}");
        for (at, seen) in rig.origin.seen().iter().enumerate() {
            rig.origin.end_of(at).await;
            assert!(matches!(crate::peers::strict::request(&seen.bytes), Ok(None)), "{length} {pieces:?}");
        }
    }
    let rig = Rig::new().await;
    let request = Request::post("http://h/").header("content-length", "5");
    assert_eq!(rig.forwards(request, &["hel", "lo"], None).await.text(), "hello");
}

#[tokio::test]
async fn sec_h2_06_bodies_and_cookies_in_the_words_of_http_1() {
    let rig = Rig::new().await;
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "host", "authorization", "content-length"] {
        trailers.insert(name, http::HeaderValue::from_static("1"));
    }
    let request = Request::post("http://h/").header("cookie", "a=1").header("cookie", "b=2").header("cookie", "c=3");
    let got = rig.forwards(request, &["hel", "lo"], Some(trailers)).await;
    assert_eq!((got.field("cookie"), got.field("transfer-encoding")), (Some("a=1; b=2; c=3"), Some("chunked")));
    assert_eq!((got.text(), got.trailers), ("hello".to_owned(), vec![("x-sum".to_owned(), "1".to_owned())]));
}
