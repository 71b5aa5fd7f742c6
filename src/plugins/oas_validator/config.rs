//! The block of configuration.
use std::collections::BTreeMap;

use serde::Deserialize;

/// Options of `oas-validator`. Exactly one of `spec` and `spec_url` is required.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OasValidatorConfig {
    /// The document, as JSON text. **Extension:** or as YAML text (feature `yaml`).
    pub spec: Option<String>,
    /// Where the document is, an address of scheme `http` or `https`.
    pub spec_url: Option<String>,
    /// Fields that it is asked for with, such as `Authorization`. Default: none.
    pub spec_url_request_headers: BTreeMap<String, String>,
    /// Whether the certificate of an `https` address is verified. Default `false`.
    pub ssl_verify: bool,
    /// Longest time of a fetch in milliseconds, 1000 to 60,000. Default 10,000.
    pub timeout: u64,
    /// Whether clients are told what does not fit. Default `false`.
    pub verbose_errors: bool,
    /// Whether bodies are left alone. Default `false`.
    pub skip_request_body_validation: bool,
    /// Whether fields, cookies included, are left alone. Default `false`.
    pub skip_request_header_validation: bool,
    /// Whether parameters in the query are left alone. Default `false`.
    pub skip_query_param_validation: bool,
    /// Whether parameters in the path are left alone. Default `false`.
    pub skip_path_params_validation: bool,
    /// Whether a request that does not fit is refused, rather than only told of in the log. Default `true`.
    pub reject_if_not_match: bool,
    /// Status of requests that do not fit, 400 to 599. Default 400.
    pub rejection_status_code: u16,
    /// Longest body in bytes, as sent, 1 or more. Default 67,108,864 (64 MiB).
    pub max_req_body_size: u64,
}

impl Default for OasValidatorConfig {
    fn default() -> Self {
        Self {
            spec: None,
            spec_url: None,
            spec_url_request_headers: BTreeMap::new(),
            ssl_verify: false,
            timeout: 10_000,
            verbose_errors: false,
            skip_request_body_validation: false,
            skip_request_header_validation: false,
            skip_query_param_validation: false,
            skip_path_params_validation: false,
            reject_if_not_match: true,
            rejection_status_code: 400,
            max_req_body_size: 67_108_864,
        }
    }
}

/// What `oas-validator` is told for the whole gateway.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OasValidatorMetadata {
    /// Seconds after which a document by `spec_url` is fetched anew, 1 or more. Default 3600.
    pub spec_url_ttl: u64,
}

impl Default for OasValidatorMetadata {
    fn default() -> Self {
        Self { spec_url_ttl: 3600 }
    }
}
