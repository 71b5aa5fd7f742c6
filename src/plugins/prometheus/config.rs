//! What is configured: a block's options, the metadata, the attributes.
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;

/// Options of `prometheus`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PrometheusConfig {
    /// Whether routes and services are called by their names where they have one, else by their ids. Default `false`.
    pub prefer_name: bool,
}

/// Metadata of `prometheus`: what holds for all blocks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PrometheusMetadata {
    /// Labels to leave empty, by metric without its prefix: `{http_status: [consumer, node]}`. Series that then have the
    /// same labels are added up. `code`, `type` and extra labels stay. Default none.
    pub disabled_labels: BTreeMap<String, Vec<String>>,
}

/// Attributes of `prometheus` (`tollgate.plugin_attr.prometheus`). They hold from the first block on that is built, until
/// the process ends.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PrometheusAttr {
    /// Path of the text, for `public-api` and at `export_addr`, where `/metrics` is it as well. Begins with `/`.
    /// Default `/apisix/prometheus/metrics`.
    pub export_uri: String,
    /// Whether the bundled gateway serves the text at `export_addr`. Default `true`.
    pub enable_export_server: bool,
    /// Where the bundled gateway serves the text. Default 127.0.0.1, port 9091.
    pub export_addr: ExportAddr,
    /// What all names begin with; letters, digits and `_`. Default `tollgate_`.
    pub metric_prefix: String,
    /// For how many seconds a text is given out again before another one is made, 0–3600. Keep it well below the interval
    /// of collection, which would otherwise see the same figures twice. Default 1.
    pub refresh_interval: u32,
    /// Upper bounds of the buckets of `http_latency` in milliseconds, ascending, 1 to 64 of them.
    /// Default 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000.
    pub default_buckets: Vec<f64>,
    /// Extra labels and expiry, by metric without its prefix: `http_status`, `http_latency`, `bandwidth`. Default none.
    pub metrics: BTreeMap<String, MetricAttr>,
    /// How many sets of labels are kept apart, 1–1000000. Each takes about 1 KiB of memory and 6 KiB of text.
    /// Default 10000.
    pub max_label_sets: usize,
}

impl Default for PrometheusAttr {
    fn default() -> Self {
        Self {
            export_uri: "/apisix/prometheus/metrics".to_owned(),
            enable_export_server: true,
            export_addr: ExportAddr::default(),
            metric_prefix: "tollgate_".to_owned(),
            refresh_interval: 1,
            default_buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000]
                .map(f64::from)
                .to_vec(),
            metrics: BTreeMap::new(),
            max_label_sets: 10_000,
        }
    }
}

/// Where the text is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExportAddr {
    /// The address. Default 127.0.0.1.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub ip: IpAddr,
    /// The port; 0 takes a free one. Default 9091.
    pub port: u16,
}

impl Default for ExportAddr {
    fn default() -> Self {
        Self { ip: Ipv4Addr::LOCALHOST.into(), port: 9091 }
    }
}

impl From<ExportAddr> for SocketAddr {
    fn from(address: ExportAddr) -> Self {
        Self::new(address.ip, address.port)
    }
}

/// What is said of one metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MetricAttr {
    /// Labels beyond the metric's own, at most 8. Default none.
    pub extra_labels: Vec<ExtraLabel>,
    /// After how many seconds without a request a series is forgotten; 0 for never. Default 0.
    pub expire: u32,
}

/// A label with its value: one pair, `{region: $http_x_region}`. The value may hold variables, as they are when the
/// request comes; what a request lacks is empty. Values are cut after 128 characters.
pub type ExtraLabel = BTreeMap<String, String>;
