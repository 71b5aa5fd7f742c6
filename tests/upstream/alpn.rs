//! HTTP/2 that TLS agrees upon, and HTTP/1.1 where it does not (upstream.md §5; security.md TLS-07).
use futures_util::future::join_all;
use http::HeaderValue;
use http_body_util::BodyExt as _;
use tokio::sync::Barrier;
use tollgate::upstream::{ForwardContext, HttpVersion, Scheme, UpstreamConfig};
use tollgate::{Body, UpgradedIo};

use std::sync::Arc;

use crate::secure::*;
use crate::support::*;

const BOTH: &[&str] = &["h2", "http/1.1"];

fn with(mut config: UpstreamConfig, scheme: Scheme, version: HttpVersion) -> Client {
    config.scheme = scheme;
    config.http_version = version;
    Client::new(config)
}

async fn post(client: &Client, body: &'static str) -> Result<String, &'static str> {
    let answer = client.send(request("POST", "/", Body::from(body))).await.map_err(|error| error.reason())?;
    Ok(text(answer).await.unwrap())
}

#[tokio::test]
async fn sec_tls_07_what_is_spoken_is_what_both_want() {
    let authority = Authority::new();
    let h1 = "HTTP/1.1 - client.test x";
    let h2 = "HTTP/2.0 https client.test x";
    for (scheme, version, protocols, expected) in [
        (Scheme::Https, HttpVersion::Http1, BOTH, Ok(h1)),
        (Scheme::Https, HttpVersion::Auto, BOTH, Ok(h2)),
        (Scheme::Https, HttpVersion::Auto, &["http/1.1"], Ok(h1)),
        (Scheme::Https, HttpVersion::Auto, &[], Ok(h1)),
        (Scheme::Https, HttpVersion::Http2, BOTH, Ok(h2)),
        (Scheme::Https, HttpVersion::Http2, &["http/1.1"], Err("tls_wrong_protocol")),
        (Scheme::Https, HttpVersion::Http2, &[], Err("tls_wrong_protocol")),
        (Scheme::Grpcs, HttpVersion::Http1, BOTH, Ok(h2)),
        (Scheme::Grpcs, HttpVersion::Auto, &["http/1.1"], Err("tls_wrong_protocol")),
    ] {
        let origin = Secure::echo(authority.certificate(&["localhost"]).server(None), protocols).await;
        let client = with(origin.upstream("localhost", authority.believed()), scheme, version);
        for _ in 0..2 {
            let said = post(&client, "x").await;
            assert_eq!(said.as_deref().map_err(|reason| *reason), expected, "{scheme:?} {version:?} {protocols:?}");
            if expected.is_ok() {
                client.idle(1).await;
            }
        }
        assert!(expected.is_err() || origin.connections() == 1, "the connection is used again");
    }
}

#[tokio::test]
async fn a_burst_on_a_cold_upstream_opens_one_connection() {
    let authority = Authority::new();
    let all_here = Arc::new(Barrier::new(50));
    let origin = Secure::serving(authority.certificate(&["localhost"]).server(None), BOTH, move |_| {
        let all_here = Arc::clone(&all_here);
        async move {
            all_here.wait().await;
            http::Response::new(Body::from("together"))
        }
    })
    .await;
    let client = with(origin.upstream("localhost", authority.believed()), Scheme::Https, HttpVersion::Auto);
    let said = join_all((0..50).map(|_| post(&client, "x"))).await;
    assert!(said.iter().all(|said| said.as_deref() == Ok("together")), "{said:?}");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_burst_on_an_origin_without_http_2_waits_for_one_handshake_only() {
    let authority = Authority::new();
    let all_here = Arc::new(Barrier::new(20));
    let origin = Secure::serving(authority.certificate(&["localhost"]).server(None), &["http/1.1"], move |_| {
        let all_here = Arc::clone(&all_here);
        async move {
            all_here.wait().await;
            http::Response::new(Body::from("together"))
        }
    })
    .await;
    let client = with(origin.upstream("localhost", authority.believed()), Scheme::Https, HttpVersion::Auto);
    let said = join_all((0..20).map(|_| post(&client, "x"))).await;
    assert!(said.iter().all(|said| said.as_deref() == Ok("together")), "{said:?}");
    assert_eq!(origin.connections(), 20);
}

#[tokio::test]
async fn an_upgrade_goes_over_http_1_though_the_others_go_over_http_2() {
    let authority = Authority::new();
    let origin = Secure::serving(authority.certificate(&["localhost"]).server(None), BOTH, |request| async move {
        let version = format!("{:?}", request.version());
        let mut answer = http::Response::new(Body::from(version));
        if request.headers().contains_key("upgrade") {
            *answer.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            answer.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
            answer.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
            *answer.body_mut() = Body::empty();
        }
        answer
    })
    .await;
    let client = with(origin.upstream("localhost", authority.believed()), Scheme::Https, HttpVersion::Auto);
    assert_eq!(post(&client, "x").await.unwrap(), "HTTP/2.0");
    let wish = HeaderValue::from_static("websocket");
    let cx = ForwardContext { upgrade: Some(&wish), ..ForwardContext::default() };
    let answer = client.forward(request("GET", "/", Body::empty()), cx).await.unwrap();
    assert_eq!(answer.status(), 101);
    assert!(answer.extensions().get::<UpgradedIo>().is_some());
    assert_eq!(post(&client, "x").await.unwrap(), "HTTP/2.0");
    let protocols: Vec<_> = origin.seen().into_iter().filter_map(|seen| seen.protocol).collect();
    assert_eq!(protocols, BOTH);
}

#[tokio::test]
async fn prior_knowledge_is_http_2_without_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            Ok::<_, std::convert::Infallible>(http::Response::new(format!("{:?}", request.version())))
        });
        let server = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
        let _ = server.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
    });
    let client = with(config(&[address]), Scheme::Http, HttpVersion::Http2);
    assert_eq!(post(&client, "x").await.unwrap(), "HTTP/2.0");
    task.abort();
}

#[tokio::test]
async fn a_response_that_nobody_reads_stalls_no_other_on_its_connection() {
    let authority = Authority::new();
    let origin = Secure::serving(authority.certificate(&["localhost"]).server(None), BOTH, |request| async move {
        let size = if request.uri().path() == "/large" { 3_000_000 } else { 10 };
        http::Response::new(Body::from(vec![b'x'; size]))
    })
    .await;
    let client = with(origin.upstream("localhost", authority.believed()), Scheme::Https, HttpVersion::Auto);
    let mut stalled = Vec::new();
    for _ in 0..8 {
        stalled.push(client.send(request("GET", "/large", Body::empty())).await.unwrap());
    }
    for _ in 0..100 {
        assert_eq!(client.get("/").await.unwrap().1.len(), 10);
    }
    for answer in stalled {
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), 3_000_000);
    }
    assert_eq!(origin.connections(), 1);
}
