//! The options.
use serde::Deserialize;

/// Options of `degraphql`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DegraphqlConfig {
    /// The GraphQL document, 1 to 1024 characters. Required.
    pub query: String,
    /// Names of variables that requests give. Default: none.
    pub variables: Vec<String>,
    /// Which operation of the document is meant, 1 to 1024 characters. Required if it has several. Default: the only one.
    pub operation_name: Option<String>,
    /// Longest body of a `POST` in bytes, 1 or more. Default 67,108,864 (64 MiB).
    pub max_req_body_size: usize,
}

impl Default for DegraphqlConfig {
    fn default() -> Self {
        Self { query: String::new(), variables: Vec::new(), operation_name: None, max_req_body_size: 64 * 1024 * 1024 }
    }
}
