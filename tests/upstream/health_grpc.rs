//! Probes by gRPC's health service.
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tollgate::upstream::health::{ActiveConfig, HealthConfig, HealthState, ProbeKind, Thresholds};
use tollgate::upstream::{Scheme, UpstreamConfig};

use crate::support::*;

/// `HealthCheckResponse.ServingStatus`, and answers that are none.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Serving,
    NotServing,
    /// There is no such service: `NOT_FOUND`, without a message.
    Unknown,
    /// Not gRPC at all.
    Page,
    Nothing,
}

/// Path and message of a call.
type Asked = (String, Vec<u8>);

/// A server whose health service says of each service what it is told to.
struct Server {
    address: std::net::SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::<Mutex<Vec<_>>>::default());
        let (told, log) = (Arc::clone(&says), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (told, log) = (Arc::clone(&told), Arc::clone(&log));
                let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                    let (told, log) = (Arc::clone(&told), Arc::clone(&log));
                    async move {
                        let path = request.uri().to_string();
                        let frame = request.into_body().collect().await.unwrap().to_bytes();
                        log.lock().unwrap().push((path, frame.to_vec()));
                        let says = *told.lock().unwrap();
                        Ok::<_, Infallible>(answer(says).await)
                    }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, says, asked }
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }
}

type Answer = http::Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(says: Says) -> Answer {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(if says == Says::Unknown { "5" } else { "0" }));
    let message = |status: u8| Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]));
    let frames = match says {
        Says::Serving => vec![message(1), Frame::trailers(trailers)],
        Says::NotServing => vec![message(2), Frame::trailers(trailers)],
        Says::Unknown => vec![Frame::trailers(trailers)],
        Says::Page => vec![Frame::data(Bytes::from_static(b"<html>"))],
        Says::Nothing => std::future::pending().await,
    };
    let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
    http::Response::new(StreamBody::new(frames).boxed_unsync())
}

fn watched(server: &Server, service: &str) -> UpstreamConfig {
    let mut config = config(&[server.address]);
    config.scheme = Scheme::Grpc;
    config.health = Some(HealthConfig::new().with_active(ActiveConfig {
        probe: ProbeKind::Grpc { service: service.to_owned() },
        timeout: Duration::from_millis(500),
        healthy_interval: Duration::from_millis(20),
        unhealthy_interval: Duration::from_millis(20),
        thresholds: Thresholds { successes: 1, http_failures: 1, tcp_failures: 1, timeouts: 1 },
        ..ActiveConfig::default()
    }));
    config
}

#[tokio::test]
async fn only_serving_is_well() {
    let server = Server::start(Says::Serving).await;
    let client = Client::new(watched(&server, "shop.Cart"));
    client.upstreams.keep_up();
    let health = || client.upstream.endpoints().next().unwrap().health.unwrap();
    until(|| server.asked.lock().unwrap().len() > 2).await;
    assert_eq!(health().state, HealthState::Healthy);
    for says in [Says::NotServing, Says::Unknown, Says::Page] {
        server.say(says);
        until(|| health().state == HealthState::Unhealthy).await;
        assert_eq!(health().counters.http_failure, 1, "{says:?}");
        server.say(Says::Serving);
        until(|| health().state == HealthState::Healthy).await;
    }
    server.say(Says::Nothing);
    until(|| health().state == HealthState::Unhealthy).await;
    assert_eq!(health().counters.timeout_failure, 1);
    let asked = server.asked.lock().unwrap();
    let uri = format!("http://{}/grpc.health.v1.Health/Check", server.address);
    assert!(asked.iter().all(|(path, frame)| *path == uri && frame == b"\0\0\0\0\x0b\x0a\x09shop.Cart"), "{asked:?}");
}

#[tokio::test]
async fn a_server_of_http1_does_not_serve_grpc() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let server = Server::start(Says::Serving).await;
    let mut config = watched(&server, "");
    config.nodes = vec![node(origin.address)];
    let client = Client::new(config);
    client.upstreams.keep_up();
    let health = || client.upstream.endpoints().next().unwrap().health.unwrap();
    until(|| health().state == HealthState::Unhealthy).await;
    assert_eq!(health().counters.tcp_failure, 1);
}
