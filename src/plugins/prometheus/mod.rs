//! `prometheus`: counts requests, their latency and their bytes, for Prometheus to collect. Stage: observe.
//!
//! What it does: 1. a request is timed from here to the end of the response's body, or until the client goes away (status
//! 499); 2. its labels are looked up: route, service, consumer, endpoint; 3. the counters behind them are raised. In a global
//! rule it counts requests without a route as well, also those that are refused before one is looked for.
//!
//! | metric (behind the prefix, `tollgate_`) | type | labels |
//! |---|---|---|
//! | `http_status` | counter of requests | `code`, `route`, `matched_uri`, `matched_host`, `service`, `consumer`, `node`, `request_type`, `request_llm_model`, `llm_model`, `response_source` (`gateway`, `upstream`) |
//! | `http_latency` | histogram, milliseconds | `type` (`request`, `upstream`, `gateway`), `route`, `service`, `consumer`, `node`, `request_type`, `request_llm_model`, `llm_model` |
//! | `bandwidth` | counter of bytes | `type` (`ingress`, `egress`), as `http_latency` |
//! | `http_requests_total` | gauge | |
//! | `node_info` | gauge, always 1 | `hostname`, `version` |
//! | `label_sets` | gauge: sets of labels in memory | |
//! | `label_set_overflows_total` | counter: requests whose labels had no place | |
//! | `limit_conn_keys`, `limit_count_keys`, `limit_req_keys` | gauge: keys that the limiters of the standard registry hold | |
//! | `limit_count_evicted_total`, `limit_req_evicted_total` | gauge: keys that went early, because there were too many | |
//! | `compress_encoder_bytes`, `compress_refused_total` | gauge: bytes that the encoders of `gzip`, `brotli` and `zstd` take at most, and encoders that there was no memory for | |
//! | `api_breaker_keys`, `api_breaker_evicted_total` | gauge: breakers of `api-breaker` that there are, and that went because there were too many | |
//! | `proxy_mirror_sent_total`, `proxy_mirror_failed_total`, `proxy_mirror_dropped_total` | gauge: copies of `proxy-mirror` that were answered, that were not, and that were left out because the mirror was too slow | |
//!
//! * A label that is not known is empty. `node` is the address of the endpoint without its port, or `service NAME`.
//! * `upstream` is the time that endpoints took up to the head of their answer, and while its body went through;
//!   `gateway` is the rest of `request`. Requests that no endpoint got have no `upstream`.
//! * Bytes are those of head and body as HTTP/1.1 writes them, without the fields that a connection adds.
//! * With the prefix `apisix_` the value `apisix` stands in place of `gateway`.
//! * Where a global rule and a route both have the plugin, only the route's counts.
//!
//! The text comes from [`Metrics::service`]: in the bundled gateway at an address of its own, and by
//! [`public-api`](super::public_api) on a route. Nobody who is not to know of routes and consumers must reach it.
//!
//! A request builds no text for its labels and waits for no other request. The number of label sets is bounded
//! ([`PrometheusAttr::max_label_sets`]): what has no place any more is counted with the consumer, the endpoint and extra
//! labels `*`. Counters survive reloads.
//!
//! Request extensions read: the route's, [`Consumer`](crate::Consumer); written: [`Exchange`](crate::Exchange).
//!
//! ```
//! use tollgate::plugins::prometheus::{Metrics, PrometheusAttr, PrometheusConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::BoxError> {
//! let metrics = Metrics::new(PrometheusAttr::default())?;
//! let layer = metrics.layer(&PrometheusConfig::default()); // for a route, an axum router, a `ServiceBuilder`
//! let service = metrics.service(); // where Prometheus asks
//! # let _ = (layer, service);
//! assert!(metrics.text().await.starts_with(b"# HELP tollgate_http_status "));
//! # Ok(())
//! # }
//! ```
//!
//! ```json
//! {"prometheus": {"prefer_name": true}}
//! ```
mod config;
mod export;
mod labels;
mod layer;
mod meter;
mod metrics;
mod plan;
mod plugin;
#[cfg(test)]
mod tests;
mod text;

pub use config::{ExportAddr, ExtraLabel, MetricAttr, PrometheusAttr, PrometheusConfig, PrometheusMetadata};
pub use layer::{Prometheus, PrometheusLayer};
pub use metrics::Metrics;
pub use plugin::PrometheusPlugin;
