//! The options.
use std::time::Duration;

use serde::Deserialize;

use crate::model::UpstreamTls;

/// Options of `proxy-mirror`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProxyMirrorConfig {
    /// Where to: `http://`, `https://`, `grpc://` or `grpcs://`, then a name, an IPv4 address or an IPv6 address in
    /// brackets, and perhaps a port; no path. Required.
    pub host: String,
    /// The path of copies, from `/` on, without `?` and `&`. Default: that of the request.
    pub path: Option<String>,
    /// Whether `path` stands in the place of the request's path or before it. Default `replace`.
    pub path_concat_mode: PathConcatMode,
    /// The share of requests that is copied, 0.00001 to 1. Default 1.
    pub sample_ratio: f64,
    /// **Extension.** Copies that may be under way at a time, 1 or more. Default 256.
    pub max_copies: u32,
    /// **Extension.** Bytes that may be held of one body while the mirror is slower than the upstream, 1 or more; of a
    /// body that streams, each piece counts with 128 bytes more. Default 1,048,576.
    pub max_body_bytes: usize,
    /// **Extension.** How mirrors with `https://` and `grpcs://` are verified, and what they are shown: the fields of
    /// an upstream's `tls`. Default: verified against the system's certificates.
    pub tls: Option<UpstreamTls>,
}

impl Default for ProxyMirrorConfig {
    fn default() -> Self {
        let MirrorOptions { path, path_concat_mode, sample_ratio, max_copies, max_body_bytes } =
            MirrorOptions::default();
        Self { host: String::new(), path, path_concat_mode, sample_ratio, max_copies, max_body_bytes, tls: None }
    }
}

/// Options of a mirror in code: the fields of [`ProxyMirrorConfig`] but for `host` and `tls`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MirrorOptions {
    /// The path of copies. Default: that of the request.
    pub path: Option<String>,
    /// Whether `path` stands in the place of the request's path or before it. Default `replace`.
    pub path_concat_mode: PathConcatMode,
    /// The share of requests that is copied, 0.00001 to 1. Default 1.
    pub sample_ratio: f64,
    /// Copies that may be under way at a time, 1 or more. Default 256.
    pub max_copies: u32,
    /// Bytes that may be held of one body while the mirror is slower, 1 or more. Default 1 MiB.
    pub max_body_bytes: usize,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            path: None,
            path_concat_mode: PathConcatMode::default(),
            sample_ratio: 1.0,
            max_copies: 256,
            max_body_bytes: 1024 * 1024,
        }
    }
}

impl From<ProxyMirrorConfig> for MirrorOptions {
    fn from(config: ProxyMirrorConfig) -> Self {
        let ProxyMirrorConfig { path, path_concat_mode, sample_ratio, max_copies, max_body_bytes, .. } = config;
        Self { path, path_concat_mode, sample_ratio, max_copies, max_body_bytes }
    }
}

/// Where `path` stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PathConcatMode {
    /// In the place of the request's path.
    #[default]
    Replace,
    /// Before the request's path.
    Prefix,
}

/// `tollgate.plugin_attr.proxy-mirror`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProxyMirrorAttr {
    /// Time-outs of all mirrors.
    pub timeout: Timeout,
}

/// Time-outs of mirrors: seconds, or texts such as `500ms`, `60s` and `1m`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Timeout {
    /// Bounds connecting. Default 60 seconds.
    pub connect: Span,
    /// Bounds each stall while a copy is sent. Default 60 seconds.
    pub send: Span,
    /// Bounds the wait for the answer's head, and the reading of what is thrown away. Default 60 seconds.
    pub read: Span,
}

impl Default for Timeout {
    fn default() -> Self {
        let minute = Span(Duration::from_secs(60));
        Self { connect: minute, send: minute, read: minute }
    }
}

/// A length of time: a number of seconds, or a text with the unit `ms`, `s`, `m` or `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "Written"))]
#[serde(try_from = "Written")]
pub struct Span(pub Duration);

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Written {
    Seconds(f64),
    Text(String),
}

impl TryFrom<Written> for Span {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        const FAULT: &str = "is no length of time: write seconds, or a text such as \"500ms\", \"60s\" or \"1m\"";
        let seconds = match written {
            Written::Seconds(seconds) => seconds,
            Written::Text(text) => {
                let unit = text.find(|sign: char| sign.is_ascii_alphabetic()).unwrap_or(text.len());
                let (number, unit) = text.split_at(unit);
                let number: f64 = number.trim().parse().map_err(|_| FAULT)?;
                match unit {
                    "ms" => number / 1000.0,
                    "s" | "" => number,
                    "m" => number * 60.0,
                    "h" => number * 3600.0,
                    _ => return Err(FAULT),
                }
            }
        };
        let span = Duration::try_from_secs_f64(seconds).ok().filter(|span| !span.is_zero());
        span.map(Self).ok_or(FAULT)
    }
}
