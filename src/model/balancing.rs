//! What an upstream says about balancing beside its policy: [`Affinity`] and [`SlowStart`].
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Sensitive;
use super::check::shape::{Field, Rule, Shape, Struct, Text};
use super::check::walk::Walk;

/// **Extension.** A cookie that brings the requests of a session back to the endpoint which answered the first one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Affinity {
    /// Its name, 1–128 characters of a token (RFC 6265 §4.1.1). Upstreams of one site need one each. Required on the wire.
    pub cookie: String,
    /// How many seconds a browser keeps it, at least 1. Unset: until it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u32>,
    /// Its `Path`, beginning with `/`. Default `/`.
    pub path: String,
    /// Whether scripts don't get it. Default `true`.
    pub http_only: bool,
    /// Its `SameSite`. Default `lax`.
    pub same_site: SameSite,
    /// Whether it goes over HTTPS only. Default `false`; required with `same_site: none`.
    pub secure: bool,
    /// What its value is digested with, 16–1024 characters or a reference to a secret. Gateways with the same one understand
    /// each other's cookies. Unset: something random of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Sensitive>,
}

impl Default for Affinity {
    fn default() -> Self {
        Self {
            cookie: String::new(),
            ttl_s: None,
            path: String::from("/"),
            http_only: true,
            same_site: SameSite::default(),
            secure: false,
            secret: None,
        }
    }
}

/// When a browser sends a cookie along with what another site asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user goes from there to here.
    #[default]
    Lax,
    /// Always.
    None,
}

/// **Extension.** How an endpoint that was added, or has become healthy again, gets its share of requests step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SlowStart {
    /// Milliseconds until its share is whole, 1–3,600,000. Required on the wire.
    pub window_ms: u64,
    /// Percentage of its weight that it begins with, 1–100. Default 10.
    pub min_weight_percent: u8,
    /// The share grows as (age / window)^(1 / aggression): 1 (the default) in a straight line, more faster at first, less
    /// slower. Above 0.
    pub aggression: f64,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { window_ms: 30_000, min_weight_percent: 10, aggression: 1.0 }
    }
}

const COOKIE: Rule = Rule {
    holds: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)),
    expects: "the name of a cookie: letters, digits and `!#$%&'*+-.^_`|~`",
};
const PATH: Rule = Rule {
    holds: |text| text.starts_with('/') && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b';'),
    expects: "a path that begins with `/`, without `;`",
};

pub(super) const AFFINITY: Shape = Shape::Struct(
    &Struct::new(&[
        Field::required("cookie", Shape::Text(Text { min: 1, max: 128, rule: Some(&COOKIE) })),
        Field::extension("ttl_s", Shape::Int(1, u32::MAX as i64)),
        Field::extension("path", Shape::Text(Text { min: 1, max: 1024, rule: Some(&PATH) })),
        Field::extension("http_only", Shape::Bool),
        Field::extension("same_site", Shape::Word(&["strict", "lax", "none"])),
        Field::extension("secure", Shape::Bool),
        Field::extension("secret", Shape::Text(Text { min: 16, max: 1024, rule: None })),
    ])
    .with_rule(structure),
);

pub(super) const SLOW_START: Shape = Shape::Struct(&Struct::new(&[
    Field::required("window_ms", Shape::Int(1, 3_600_000)),
    Field::extension("min_weight_percent", Shape::Int(1, 100)),
    Field::extension("aggression", Shape::Above(0.0)),
]));

fn structure<'v>(affinity: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let has = |name: &str, value: Value| affinity.get(name) == Some(&value);
    if has("same_site", "none".into()) && !has("secure", true.into()) {
        walk.error("has same_site none, which browsers refuse without secure", "set `secure` to true");
    }
}
