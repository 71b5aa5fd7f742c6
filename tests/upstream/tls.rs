//! TLS to endpoints: who is believed, which name is asked for, who shares connections (upstream.md §5, §6; security.md §11).
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tollgate::upstream::health::{ActiveConfig, HealthConfig, HealthState, HttpProbe, ProbeKind, Thresholds};
use tollgate::upstream::{Endpoints, Error, NodeConfig, PassHost, Target, TlsConfig, UpstreamBuildError};
use tollgate::{Body, Request};

use crate::secure::*;
use crate::support::*;

const HTTP1: &[&str] = &["http/1.1"];

fn named(host: &str) -> Request {
    let mut request = request("GET", "/", Body::empty());
    request.headers_mut().insert("host", host.parse().unwrap());
    request
}

async fn get(client: &Client, host: &str) -> Result<String, Error> {
    Ok(text(client.send(named(host)).await?).await.unwrap())
}

fn some(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[tokio::test]
async fn a_node_with_a_name_is_asked_for_it_and_its_connection_is_kept() {
    let authority = Authority::new();
    let origin = Secure::echo(authority.certificate(&["localhost"]).server(None), HTTP1).await;
    let client = Client::new(origin.upstream("localhost", authority.believed()));
    for host in ["client.test", "other.test:8443", "client.test"] {
        assert_eq!(get(&client, host).await.unwrap(), format!("HTTP/1.1 - {host} "));
        client.idle(1).await;
    }
    assert_eq!(origin.names(), [some("localhost")], "one connection for all");
}

#[tokio::test]
async fn a_node_without_a_name_is_asked_for_the_host_and_each_host_has_its_own_connections() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["a.test", "b.test", "127.0.0.1"]);
    let origin = Secure::echo(certificate.server(None), HTTP1).await;
    let client = Client::new(origin.upstream("127.0.0.1", authority.believed()));
    // No name for TLS: the node's address, which is not asked for, but must be the certificate's.
    for host in ["a.test", "b.test", "A.test:443", "b.test:8443", "192.0.2.1", "a.test", "127.0.0.1"] {
        let ended = get(&client, host).await;
        match host {
            "192.0.2.1" => assert_eq!(ended.unwrap_err().reason(), "tls_wrong_name"),
            _ => assert_eq!(ended.unwrap(), format!("HTTP/1.1 - {host} ")),
        }
    }
    assert_eq!(origin.names(), [some("a.test"), some("b.test"), None]);
    assert_eq!(origin.connections(), 4);
}

#[tokio::test]
async fn clients_that_vary_the_host_open_no_endless_pools() {
    let authority = Authority::new();
    let origin = Secure::echo(authority.certificate(&["*.a.test"]).server(None), HTTP1).await;
    let mut config = origin.upstream("127.0.0.1", authority.believed());
    config.keepalive.size = 3;
    let client = Client::new(config);
    for number in 0..10 {
        get(&client, &format!("h{number}.a.test")).await.unwrap();
    }
    let idle: usize = client.upstream.endpoints().map(|endpoint| endpoint.idle_connections).sum();
    assert_eq!((idle, origin.connections()), (3, 10));
}

#[tokio::test]
async fn the_name_follows_sni_or_else_pass_host() {
    let authority = Authority::new();
    let origin = Secure::echo(authority.certificate(&["s.test", "r.test", "127.0.0.1"]).server(None), HTTP1).await;
    let mut sni = authority.believed();
    sni.sni = some("s.test");
    let client = Client::new(origin.upstream("127.0.0.1", sni));
    assert_eq!(get(&client, "client.test").await.unwrap(), "HTTP/1.1 - client.test ");
    let mut rewrite = origin.upstream("127.0.0.1", authority.believed());
    rewrite.pass_host = PassHost::Rewrite("r.test:8443".parse().unwrap());
    assert_eq!(get(&Client::new(rewrite), "client.test").await.unwrap(), "HTTP/1.1 - r.test:8443 ");
    let mut node = origin.upstream("127.0.0.1", authority.believed());
    node.pass_host = PassHost::Node;
    let port = origin.address.port();
    assert_eq!(get(&Client::new(node), "client.test").await.unwrap(), format!("HTTP/1.1 - 127.0.0.1:{port} "));
    assert_eq!(origin.names(), [some("s.test"), some("r.test"), None]);
}

#[tokio::test]
async fn sec_tls_03_what_cannot_be_believed_is_a_502_unless_nobody_wants_to_know() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (certificate, reason) in [
        (authority.expired("localhost"), "tls_certificate_expired"),
        (authority.certificate(&["a.test"]), "tls_wrong_name"),
        (other.certificate(&["localhost"]), "tls_unknown_issuer"),
    ] {
        let origin = Secure::echo(certificate.server(None), HTTP1).await;
        let error = get(&Client::new(origin.upstream("localhost", authority.believed())), "a.test").await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.reason()), (502, reason));
        assert!(error.is_retryable(), "{error}");
        let blind = TlsConfig::default().dangerous_without_verification();
        get(&Client::new(origin.upstream("localhost", blind)), "a.test").await.unwrap();
    }
}

#[tokio::test]
async fn sec_tls_03_the_systems_certificates_are_what_is_believed_by_default() {
    let origin = Secure::echo(Authority::new().certificate(&["localhost"]).server(None), HTTP1).await;
    let upstreams = tollgate::upstream::Upstreams::new();
    // Where the system has none, there is nothing to begin with.
    match upstreams.compile(origin.upstream("localhost", TlsConfig::default()), &Endpoints::new()) {
        Err(UpstreamBuildError::Tls { field: "ca", .. }) => {}
        upstream => {
            let client = Client { upstream: upstream.unwrap(), upstreams };
            assert_eq!(get(&client, "a.test").await.unwrap_err().reason(), "tls_unknown_issuer");
        }
    }
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_where_one_is_asked_for() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let origin = Secure::echo(authority.certificate(&["localhost"]).server(Some(&clients)), HTTP1).await;
    let mut tls = authority.believed();
    tls.client = Some(clients.certificate(&["gateway"]).as_client());
    get(&Client::new(origin.upstream("localhost", tls.clone())), "a.test").await.unwrap();
    assert_eq!(origin.seen()[0].client_certificates, 1);
    for client in [None, Some(authority.certificate(&["gateway"]).as_client())] {
        tls.client = client;
        let error = get(&Client::new(origin.upstream("localhost", tls.clone())), "a.test").await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.reason()), (502, "tls_alert"), "{error:?}");
    }
}

#[tokio::test]
async fn sec_tls_04_what_cannot_be_used_is_refused_at_once() {
    let authority = Authority::new();
    let origin = Secure::echo(authority.certificate(&["localhost"]).server(None), HTTP1).await;
    let (one, other) = (authority.certificate(&["a"]), authority.certificate(&["b"]));
    let mut tls = authority.believed();
    tls.client = Some(one.as_client());
    tls.client.as_mut().unwrap().key = other.key.as_str().into();
    let upstreams = tollgate::upstream::Upstreams::new();
    let refused = upstreams.compile(origin.upstream("localhost", tls), &Endpoints::new()).unwrap_err();
    assert_eq!(refused.to_string(), "upstream/secure: `tls.client_key` is not the key of the certificate");
}

#[tokio::test]
async fn upstreams_that_believe_others_or_are_others_share_no_connection() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let origin = Secure::echo(authority.certificate(&["localhost"]).server(None), HTTP1).await;
    let client = Client::new(origin.upstream("localhost", authority.believed()));
    let mut other = authority.believed();
    other.client = Some(clients.certificate(&["gateway"]).as_client());
    let both = Some(format!("{}{}", authority.pem, clients.pem).into());
    let mut wider = authority.believed();
    wider.ca = both;
    let configs = [authority.believed(), other, wider, authority.believed()];
    for (connections, tls) in [1, 2, 3, 3].into_iter().zip(configs) {
        let upstream = client.upstreams.compile(origin.upstream("localhost", tls), &Endpoints::new()).unwrap();
        let answer = upstream.send(named("a.test"), Default::default()).await.unwrap();
        text(answer).await.unwrap();
        assert_eq!(origin.connections(), connections);
    }
    // Nor do they resume each other's sessions.
    assert!(origin.seen().iter().all(|seen| !seen.resumed));
}

#[tokio::test]
async fn sessions_are_resumed_on_new_connections() {
    let authority = Authority::new();
    let origin = Secure::echo(authority.certificate(&["localhost"]).server(None), HTTP1).await;
    let mut config = origin.upstream("localhost", authority.believed());
    config.keepalive.idle_timeout = Duration::ZERO;
    let client = Client::new(config);
    for _ in 0..3 {
        get(&client, "a.test").await.unwrap();
    }
    let resumed: Vec<_> = origin.seen().iter().map(|seen| seen.resumed).collect();
    assert_eq!(resumed, [false, true, true]);
}

#[tokio::test]
async fn a_handshake_that_fails_is_a_connection_that_failed_and_another_node_serves() {
    let authority = Authority::new();
    let bad = Secure::echo(Authority::new().certificate(&["localhost"]).server(None), HTTP1).await;
    let good = Secure::echo(authority.certificate(&["localhost"]).server(None), HTTP1).await;
    let mut config = bad.upstream("localhost", authority.believed());
    config.nodes.push(NodeConfig::new(Target::host("localhost", good.address.port())));
    let client = Client::new(config);
    for _ in 0..4 {
        // Nothing of it was sent, so that even a POST may go to another one.
        let answer = client.send(request("POST", "/", Body::from("once"))).await.unwrap();
        assert_eq!(text(answer).await.unwrap(), "HTTP/1.1 - client.test once");
    }
    assert!(bad.connections() > 0 && bad.seen().is_empty());
}

#[tokio::test]
async fn sec_up_09_silence_instead_of_a_handshake_is_a_504_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let authority = Authority::new();
    let mut config = config(&[address]);
    config.scheme = tollgate::upstream::Scheme::Https;
    config.tls = authority.believed();
    config.timeouts.connect = Duration::from_millis(300);
    let began = Instant::now();
    let error = get(&Client::new(config), "a.test").await.unwrap_err();
    assert_eq!((error.status().as_u16(), error.reason()), (504, "tls_timeout"));
    assert!(began.elapsed() < Duration::from_millis(800), "{:?}", began.elapsed());
    drop(listener);
}

/// An origin that says this to each request, and then ends TLS or only the connection below it.
async fn ending(authority: &Authority, answer: &'static str, announced: bool) -> Secure {
    let config = authority.certificate(&["localhost"]).server(None);
    Secure::start(config, HTTP1, move |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if announced {
            stream.shutdown().await.unwrap();
        } else {
            stream.into_inner().0.shutdown().await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn sec_up_04_a_body_until_the_end_is_whole_only_if_the_end_was_announced() {
    let authority = Authority::new();
    for (answer, announced, whole) in [
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it", true, true),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it", false, false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nall of it", false, true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nall of it", true, false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nall of it\r\n", true, false),
    ] {
        let origin = ending(&authority, answer, announced).await;
        let client = Client::new(origin.upstream("localhost", authority.believed()));
        let body = text(client.send(named("a.test")).await.unwrap()).await;
        assert_eq!(body.is_ok(), whole, "{answer} {announced} {body:?}");
    }
}

#[tokio::test]
async fn sec_up_05_stray_bytes_under_tls_are_never_delivered() {
    let authority = Authority::new();
    let (now, gate) = {
        let gate = Gate::default();
        (gate.clone(), gate)
    };
    let config = authority.certificate(&["localhost"]).server(None);
    let origin = Secure::start(config, HTTP1, move |mut stream| {
        let gate = gate.clone();
        async move {
            while stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {
                stream.write_all(ok("mine").as_bytes()).await.unwrap();
                gate.pass().await;
                stream.write_all(ok("poison").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let client = Client::new(origin.upstream("localhost", authority.believed()));
    assert_eq!(get(&client, "a.test").await.unwrap(), "mine");
    client.idle(1).await;
    now.open();
    // The sweep finds it.
    client.idle(0).await;
    assert_eq!(get(&client, "a.test").await.unwrap(), "mine");
    assert!(client.upstream.endpoints().all(|endpoint| endpoint.quarantined));
}

#[tokio::test]
async fn probes_shake_hands_as_requests_do_and_may_be_told_not_to_verify() {
    let authority = Authority::new();
    let good = authority.certificate(&["localhost"]);
    let bad = Authority::new().certificate(&["localhost"]);
    for (certificate, verify, well) in [(&good, true, true), (&bad, true, false), (&bad, false, true)] {
        let origin = Secure::echo(certificate.server(None), HTTP1).await;
        let soon = Duration::from_millis(20);
        let active = ActiveConfig {
            probe: ProbeKind::Http(HttpProbe { tls: true, verify, ..HttpProbe::default() }),
            healthy_interval: soon,
            unhealthy_interval: soon,
            thresholds: Thresholds { successes: 1, http_failures: 1, tcp_failures: 1, timeouts: 1 },
            ..ActiveConfig::default()
        };
        let mut config = origin.upstream("localhost", authority.believed());
        config.health = Some(HealthConfig::new().with_active(active));
        let client = Client::new(config);
        client.upstreams.keep_up();
        let unhealthy = || {
            let state = |endpoint: tollgate::upstream::EndpointStatus| endpoint.health.map(|health| health.state);
            client.upstream.endpoints().any(|endpoint| state(endpoint) == Some(HealthState::Unhealthy))
        };
        if well {
            until(|| origin.seen().len() >= 3).await;
            assert!(!unhealthy());
            assert_eq!(origin.names()[0], some("localhost"));
        } else {
            until(unhealthy).await;
        }
    }
}
