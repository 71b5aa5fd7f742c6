//! The block of configuration.
use serde::Deserialize;
use serde_json::{Map, Value};

/// Options of `request-validation`. One of `header_schema` and `body_schema` is required.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RequestValidationConfig {
    /// JSON Schema of the fields: an object of their names in lower case. Default: fields are not judged.
    pub header_schema: Option<Map<String, Value>>,
    /// JSON Schema of the body. Default: the body is not read.
    pub body_schema: Option<Map<String, Value>>,
    /// Longest body in bytes, as sent, 1 or more. Default 67,108,864 (64 MiB).
    pub max_req_body_size: u64,
    /// Status of requests that do not fit, 200 to 599. Default 400.
    pub rejected_code: u16,
    /// What they are told, 1 to 256 characters. Default: what does not fit.
    pub rejected_msg: Option<String>,
}

impl Default for RequestValidationConfig {
    fn default() -> Self {
        Self {
            header_schema: None,
            body_schema: None,
            max_req_body_size: 67_108_864,
            rejected_code: 400,
            rejected_msg: None,
        }
    }
}
