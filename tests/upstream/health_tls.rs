//! Probes over TLS.
use std::time::Duration;

use http::HeaderValue;
use tollgate::upstream::health::{ActiveConfig, HealthConfig, HealthState, HttpProbe, ProbeKind, Thresholds};
use tollgate::upstream::{TlsConfig, UpstreamConfig};

use crate::secure::*;
use crate::support::*;

fn watched(mut config: UpstreamConfig, verify: bool, host: Option<&'static str>) -> UpstreamConfig {
    let probe = HttpProbe { tls: true, verify, ..HttpProbe::default() };
    config.health = Some(HealthConfig::new().with_active(ActiveConfig {
        probe: ProbeKind::Http(probe),
        host: host.map(HeaderValue::from_static),
        healthy_interval: Duration::from_millis(20),
        unhealthy_interval: Duration::from_millis(20),
        thresholds: Thresholds { successes: 1, http_failures: 1, tcp_failures: 1, timeouts: 1 },
        ..ActiveConfig::default()
    }));
    config
}

/// What three probes make of the only endpoint of `origin`.
async fn judged(origin: &Secure, config: UpstreamConfig) -> HealthState {
    let client = Client::new(config);
    client.upstreams.keep_up();
    let before = origin.connections();
    until(|| origin.connections() > before + 2).await;
    client.upstream.endpoints().next().unwrap().health.unwrap().state
}

#[tokio::test]
async fn a_certificate_is_proved_as_to_requests() {
    let authority = Authority::new();
    let origin = Secure::echo(authority.certificate(&["localhost"]).server(None), &["http/1.1"]).await;
    let upstream = |host: &str| origin.upstream(host, authority.believed());
    assert_eq!(judged(&origin, watched(upstream("localhost"), true, None)).await, HealthState::Healthy);
    assert_eq!(origin.names().last().unwrap().as_deref(), Some("localhost"));
    // It has no certificate for its address, unless a name is told.
    assert_eq!(judged(&origin, watched(upstream("127.0.0.1"), true, None)).await, HealthState::Unhealthy);
    assert_eq!(judged(&origin, watched(upstream("127.0.0.1"), true, Some("localhost"))).await, HealthState::Healthy);
    let mut named = upstream("127.0.0.1");
    named.tls.sni = Some("localhost".to_owned());
    assert_eq!(judged(&origin, watched(named, true, None)).await, HealthState::Healthy);
    let unknown = origin.upstream("localhost", Authority::new().believed());
    assert_eq!(judged(&origin, watched(unknown.clone(), true, None)).await, HealthState::Unhealthy);
    assert_eq!(judged(&origin, watched(unknown, false, None)).await, HealthState::Healthy);
}

#[tokio::test]
async fn an_endpoint_in_clear_fails_a_probe_of_tls() {
    // What it sends is no handshake.
    let origin = Origin::start(|mut conn| async move {
        conn.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        conn.closed().await;
    })
    .await;
    let mut plain = config(&[origin.address]);
    plain.tls = TlsConfig::default().dangerous_without_verification();
    let client = Client::new(watched(plain, true, None));
    client.upstreams.keep_up();
    until(|| client.upstream.endpoints().next().unwrap().health.unwrap().counters.tcp_failure == 1).await;
}
