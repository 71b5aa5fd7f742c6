//! How endpoints are judged, in typed form.
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::ejection::EjectionConfig;
use super::machine::Thresholds;
use super::outlier::OutlierConfig;
use super::statuses::Statuses;

/// How the endpoints of an upstream are judged (upstream.md §7): by probes, by what requests see, or by both.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct HealthConfig {
    /// Probes.
    pub active: Option<ActiveConfig>,
    /// Judging by real answers.
    pub passive: Option<PassiveConfig>,
    /// Comparing endpoints with one another.
    pub outlier: Option<OutlierConfig>,
    /// For how long, and how many at a time, endpoints are out that nothing but time brings back: outliers, and without
    /// probes whoever is unhealthy.
    pub ejection: EjectionConfig,
}

impl HealthConfig {
    /// Nothing is judged.
    pub fn new() -> Self {
        Self::default()
    }

    /// With probes.
    #[must_use]
    pub fn with_active(mut self, active: ActiveConfig) -> Self {
        self.active = Some(active);
        self
    }

    /// With judging by real answers.
    #[must_use]
    pub fn with_passive(mut self, passive: PassiveConfig) -> Self {
        self.passive = Some(passive);
        self
    }

    /// With outlier detection.
    #[must_use]
    pub fn with_outlier(mut self, outlier: OutlierConfig) -> Self {
        self.outlier = Some(outlier);
        self
    }

    /// With other times and bounds of ejection.
    #[must_use]
    pub fn with_ejection(mut self, ejection: EjectionConfig) -> Self {
        self.ejection = ejection;
        self
    }

    /// The first field that must be above zero and is not.
    pub(crate) fn zero(&self) -> Option<&'static str> {
        let active = self.active.as_ref();
        let zero = |read: fn(&ActiveConfig) -> bool| active.is_some_and(read);
        let fields = [
            ("checks.active.timeout", zero(|active| active.timeout.is_zero())),
            ("checks.active.concurrency", zero(|active| active.concurrency == 0)),
            ("checks.active.healthy.interval", zero(|active| active.healthy_interval.is_zero())),
            ("checks.active.unhealthy.interval", zero(|active| active.unhealthy_interval.is_zero())),
            ("checks.outlier.interval", self.outlier.is_some_and(|outlier| outlier.interval.is_zero())),
            ("checks.ejection_time", self.ejection.time.is_zero()),
        ];
        fields.into_iter().find(|(_, zero)| *zero).map(|(field, _)| field)
    }
}

/// Probes of every endpoint (upstream.md §7.1, `active`).
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveConfig {
    /// What a probe speaks. Default HTTP: `GET /`.
    pub probe: ProbeKind,
    /// How long a probe may take, connecting included. Default 1 s.
    pub timeout: Duration,
    /// Probes in parallel; at least 1. Default 10.
    pub concurrency: usize,
    /// What `Host`, `:authority` and SNI say. Default: what the node is called.
    pub host: Option<HeaderValue>,
    /// Which port is probed. Default: the node's.
    pub port: Option<u16>,
    /// From one probe of a usable endpoint to the next. Default 1 s.
    pub healthy_interval: Duration,
    /// From one probe of an endpoint that is not usable to the next. Default 1 s.
    pub unhealthy_interval: Duration,
    /// Statuses that speak for an endpoint. Default 200, 302.
    pub healthy_statuses: Statuses,
    /// Statuses that speak against it. Default 429, 404, 500–505.
    pub unhealthy_statuses: Statuses,
    /// How many of them are needed. Default 2, 5, 2, 3.
    pub thresholds: Thresholds,
}

impl Default for ActiveConfig {
    fn default() -> Self {
        Self {
            probe: ProbeKind::Http(HttpProbe::default()),
            timeout: Duration::from_secs(1),
            concurrency: 10,
            host: None,
            port: None,
            healthy_interval: Duration::from_secs(1),
            unhealthy_interval: Duration::from_secs(1),
            healthy_statuses: Statuses::from_iter([200, 302]),
            unhealthy_statuses: Statuses::from_iter([429, 404, 500, 501, 502, 503, 504, 505]),
            thresholds: Thresholds { successes: 2, http_failures: 5, tcp_failures: 2, timeouts: 3 },
        }
    }
}

/// What a probe speaks.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ProbeKind {
    /// A TCP connection: an endpoint that takes it is well.
    Tcp,
    /// HTTP/1.1, of the answer to which only the status counts.
    Http(HttpProbe),
    /// The health service of gRPC (`grpc.health.v1.Health/Check`) over HTTP/2: `SERVING` is well.
    Grpc {
        /// The service that is asked for; empty: the server as a whole.
        service: String,
    },
}

/// The request of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    /// Default `GET`.
    pub method: Method,
    /// Path and query. Default `/`.
    pub path: String,
    /// Further fields. `Host`, `Connection`, `Content-Length` and `Transfer-Encoding` among them are not sent.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Default empty.
    pub body: String,
    /// Whether TLS is spoken. Default `false`.
    pub tls: bool,
    /// Whether the certificate is verified then. Default `true`.
    pub verify: bool,
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self {
            method: Method::GET,
            path: String::from("/"),
            headers: Vec::new(),
            body: String::new(),
            tls: false,
            verify: true,
        }
    }
}

/// Judging endpoints by the answers to real requests (upstream.md §7.1, `passive`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassiveConfig {
    /// Whether statuses count. Without, any answer speaks for the endpoint. Default `true`.
    pub judges_statuses: bool,
    /// Statuses that speak for an endpoint. Default 200–208, 226, 300–308.
    pub healthy_statuses: Statuses,
    /// Statuses that speak against it. Default 429, 500, 503.
    pub unhealthy_statuses: Statuses,
    /// How many of them are needed. Default 5, 5, 2, 7.
    pub thresholds: Thresholds,
}

impl Default for PassiveConfig {
    fn default() -> Self {
        Self {
            judges_statuses: true,
            healthy_statuses: (200..=208).chain([226]).chain(300..=308).collect(),
            unhealthy_statuses: Statuses::from_iter([429, 500, 503]),
            thresholds: Thresholds { successes: 5, http_failures: 5, tcp_failures: 2, timeouts: 7 },
        }
    }
}
