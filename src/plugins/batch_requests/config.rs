//! The block of configuration, and what is told for the whole gateway.
use serde::Deserialize;

/// Options of `batch-requests`: none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchRequestsConfig {}

/// What `batch-requests` is told for the whole gateway.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchRequestsMetadata {
    /// Longest body of a batch in bytes, 1 or more. Default 1,048,576 (1 MiB).
    pub max_body_size: u64,
    /// Most requests of a batch, 1 or more. Default 1000.
    pub max_pipeline_items: usize,
}

impl Default for BatchRequestsMetadata {
    fn default() -> Self {
        Self { max_body_size: 1_048_576, max_pipeline_items: 1000 }
    }
}

/// Attributes of `batch-requests` (`tollgate.plugin_attr.batch-requests`).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchRequestsAttr {
    /// The path that `public-api` knows it by. Default `/apisix/batch-requests`.
    pub uri: String,
}

impl Default for BatchRequestsAttr {
    fn default() -> Self {
        Self { uri: "/apisix/batch-requests".to_owned() }
    }
}
