//! [`HealthChecks`] of an upstream.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::shape::{Field, HOST, List, PORT, Shape, Struct, Text, at_least};
use super::check::walk::Walk;
use super::{Host, Method, Seconds};

/// How endpoints are judged (upstream.md §7.1): by probes, by what requests see, and by comparison of endpoints.
///
/// The reference wants `active`; here any of `active`, `passive` and `outlier` alone will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HealthChecks {
    /// Probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveCheck>,
    /// Judging by real answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive: Option<PassiveCheck>,
    /// **Extension.** Taking out who does worse than the others. Unset: nobody is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier: Option<OutlierCheck>,
    /// **Extension.** Seconds that an endpoint is out which nothing but time brings back: an outlier, and without `active`
    /// whoever is unhealthy (security.md HC-01). Doubled each time that it does not last. Default 30.
    pub ejection_time: Seconds,
    /// **Extension.** Seconds that it is out at most. Default 300.
    pub max_ejection_time: Seconds,
    /// **Extension.** How many of 100 endpoints may be out by what traffic says of them, 0–100; one may always, unless this
    /// is 0 (security.md HC-01). Default 50.
    pub max_ejection_percent: u8,
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self {
            active: None,
            passive: None,
            outlier: None,
            ejection_time: Seconds(30.0),
            max_ejection_time: Seconds(300.0),
            max_ejection_percent: 50,
        }
    }
}

/// What a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CheckType {
    /// HTTP.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
    /// A TCP connection.
    Tcp,
    /// **Extension.** The health service of gRPC, `grpc.health.v1.Health/Check`; over TLS where the upstream's scheme has it.
    Grpc,
}

/// Probes of every endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ActiveCheck {
    /// Protocol. Default `http`.
    #[serde(rename = "type")]
    pub check: CheckType,
    /// Seconds that a probe may take. Default 1.
    pub timeout: Seconds,
    /// Probes in parallel, at least 1. Default 10.
    pub concurrency: u32,
    /// Host to name. Unset: the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Port to probe, 1–65535. Unset: the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Method of a probe. Default `GET`.
    pub http_method: Method,
    /// Path of a probe. Default `/`.
    pub http_path: String,
    /// Body of a probe. Default empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub http_req_body: String,
    /// Whether the certificate is verified. Default `true`.
    pub https_verify_certificate: bool,
    /// **Extension.** The service that `type: grpc` asks for. Default empty: the server as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub grpc_service: String,
    /// Further header lines, `Name: value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub req_headers: Vec<String>,
    /// What makes an endpoint healthy.
    pub healthy: ActiveHealthy,
    /// What makes an endpoint unhealthy.
    pub unhealthy: ActiveUnhealthy,
}

impl Default for ActiveCheck {
    fn default() -> Self {
        Self {
            check: CheckType::Http,
            timeout: Seconds(1.0),
            concurrency: 10,
            host: None,
            port: None,
            http_method: Method::Get,
            http_path: "/".to_owned(),
            http_req_body: String::new(),
            https_verify_certificate: true,
            grpc_service: String::new(),
            req_headers: Vec::new(),
            healthy: ActiveHealthy::default(),
            unhealthy: ActiveUnhealthy::default(),
        }
    }
}

/// Probes that speak for an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ActiveHealthy {
    /// Seconds between probes of a usable endpoint, at least 1. Default 1.
    pub interval: u64,
    /// Good statuses, 200–599. Default 200, 302.
    pub http_statuses: Vec<u16>,
    /// Good probes in a row that are needed, 1–254. Default 2.
    pub successes: u8,
}

impl Default for ActiveHealthy {
    fn default() -> Self {
        Self { interval: 1, http_statuses: vec![200, 302], successes: 2 }
    }
}

/// Probes that speak against an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ActiveUnhealthy {
    /// Seconds between probes of an unusable endpoint, at least 1. Default 1.
    pub interval: u64,
    /// Bad statuses, 200–599. Default 429, 404, 500–505.
    pub http_statuses: Vec<u16>,
    /// Bad statuses that are needed, 1–254. Default 5.
    pub http_failures: u8,
    /// Failed connections that are needed, 1–254. Default 2.
    pub tcp_failures: u8,
    /// Time-outs that are needed, 1–254. Default 3.
    pub timeouts: u8,
}

impl Default for ActiveUnhealthy {
    fn default() -> Self {
        Self {
            interval: 1,
            http_statuses: vec![429, 404, 500, 501, 502, 503, 504, 505],
            http_failures: 5,
            tcp_failures: 2,
            timeouts: 3,
        }
    }
}

/// Judging endpoints by the answers to real requests.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PassiveCheck {
    /// Protocol. Default `http`.
    #[serde(rename = "type")]
    pub check: CheckType,
    /// What makes an endpoint healthy.
    pub healthy: PassiveHealthy,
    /// What makes an endpoint unhealthy.
    pub unhealthy: PassiveUnhealthy,
}

/// Answers that speak for an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PassiveHealthy {
    /// Good statuses, 200–599. Default 200–208, 226, 300–308.
    pub http_statuses: Vec<u16>,
    /// Good answers that are needed, 0–254; 0 for never. Default 5.
    pub successes: u8,
}

impl Default for PassiveHealthy {
    fn default() -> Self {
        Self { http_statuses: (200..=208).chain([226]).chain(300..=308).collect(), successes: 5 }
    }
}

/// Answers that speak against an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PassiveUnhealthy {
    /// Bad statuses, 200–599. Default 429, 500, 503.
    pub http_statuses: Vec<u16>,
    /// Bad statuses that are needed, 0–254; 0 for never. Default 5.
    pub http_failures: u8,
    /// Failed connections that are needed, 0–254; 0 for never. Default 2.
    pub tcp_failures: u8,
    /// Time-outs that are needed, 0–254; 0 for never. Default 7.
    pub timeouts: u8,
}

impl Default for PassiveUnhealthy {
    fn default() -> Self {
        Self { http_statuses: vec![429, 500, 503], http_failures: 5, tcp_failures: 2, timeouts: 7 }
    }
}

/// Taking out who does worse than the others. Each part that is 0 is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OutlierCheck {
    /// **Extension.** Failures in a row that take an endpoint out at once: a status from 500 up, or no answer. Default 5.
    pub consecutive_failures: u32,
    /// **Extension.** Seconds between comparisons. Default 10.
    pub interval: Seconds,
    /// **Extension.** By how many standard deviations below the mean an endpoint's share of successes may lie. Default 1.9.
    pub success_rate_factor: f64,
    /// **Extension.** How many of 100 requests may fail, 0–100. Default 0: any number.
    pub failure_percent: u8,
    /// **Extension.** Requests within an interval that make an endpoint comparable. Default 100.
    pub min_requests: u32,
    /// **Extension.** Comparable endpoints that there must be. Default 5.
    pub min_endpoints: u32,
}

impl Default for OutlierCheck {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Seconds(10.0),
            success_rate_factor: 1.9,
            failure_percent: 0,
            min_requests: 100,
            min_endpoints: 5,
        }
    }
}

const ACTIVE_TYPE: Field = Field::new("type", Shape::Word(&["http", "https", "tcp", "grpc"]));
const PASSIVE_TYPE: Field = Field::new("type", Shape::Word(&["http", "https", "tcp"]));
const STATUSES: Field =
    Field::new("http_statuses", Shape::List(&List { of: Shape::Int(200, 599), min: 1, max: usize::MAX, unique: true }));
const ONE_UP: Shape = Shape::Int(1, 254);
const ZERO_UP: Shape = Shape::Int(0, 254);
const ANY_TEXT: Shape = Shape::Text(Text { min: 0, max: usize::MAX, rule: None });

pub(crate) const CHECKS: Shape = Shape::Struct(
    &Struct::new(&[
        Field::new("active", Shape::Struct(&ACTIVE)),
        Field::new("passive", Shape::Struct(&PASSIVE)),
        Field::extension("outlier", Shape::Struct(&OUTLIER)),
        Field::extension("ejection_time", Shape::Above(0.0)),
        Field::extension("max_ejection_time", Shape::Above(0.0)),
        Field::extension("max_ejection_percent", Shape::Int(0, 100)),
    ])
    .tolerant()
    .with_rule(structure),
);

const ACTIVE: Struct = Struct::new(&[
    ACTIVE_TYPE,
    Field::new("timeout", Shape::Above(0.0)),
    Field::new("concurrency", Shape::Int(1, u32::MAX as i64)),
    Field::new("host", HOST),
    Field::new("port", PORT),
    Field::new("http_method", Shape::Word(Method::NAMES)),
    Field::new("http_path", ANY_TEXT),
    Field::new("http_req_body", ANY_TEXT),
    Field::new("https_verify_certificate", Shape::Bool),
    Field::extension("grpc_service", ANY_TEXT),
    Field::new("req_headers", Shape::List(&List { of: ANY_TEXT, min: 1, max: usize::MAX, unique: true })),
    Field::new(
        "healthy",
        Shape::Struct(
            &Struct::new(&[Field::new("interval", at_least(1)), STATUSES, Field::new("successes", ONE_UP)]).tolerant(),
        ),
    ),
    Field::new(
        "unhealthy",
        Shape::Struct(
            &Struct::new(&[
                Field::new("interval", at_least(1)),
                STATUSES,
                Field::new("http_failures", ONE_UP),
                Field::new("tcp_failures", ONE_UP),
                Field::new("timeouts", ONE_UP),
            ])
            .tolerant(),
        ),
    ),
])
.tolerant();

const PASSIVE: Struct = Struct::new(&[
    PASSIVE_TYPE,
    Field::new("healthy", Shape::Struct(&Struct::new(&[STATUSES, Field::new("successes", ZERO_UP)]).tolerant())),
    Field::new(
        "unhealthy",
        Shape::Struct(
            &Struct::new(&[
                STATUSES,
                Field::new("http_failures", ZERO_UP),
                Field::new("tcp_failures", ZERO_UP),
                Field::new("timeouts", ZERO_UP),
            ])
            .tolerant(),
        ),
    ),
])
.tolerant();

const OUTLIER: Struct = Struct::new(&[
    Field::extension("consecutive_failures", Shape::Int(0, u32::MAX as i64)),
    Field::extension("interval", Shape::Above(0.0)),
    Field::extension("success_rate_factor", Shape::From(0.0)),
    Field::extension("failure_percent", Shape::Int(0, 100)),
    Field::extension("min_requests", Shape::Int(0, u32::MAX as i64)),
    Field::extension("min_endpoints", Shape::Int(0, u32::MAX as i64)),
]);

fn structure<'v>(checks: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    if !["active", "passive", "outlier"].iter().any(|part| checks.contains_key(*part)) {
        walk.error("checks nothing", "write `active`, `passive` or `outlier`");
    }
}
