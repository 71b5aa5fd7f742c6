//! The block, and the metadata.
use std::collections::BTreeMap;

use serde::Deserialize;

/// Options of `cors`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CorsConfig {
    /// Origins that are allowed: `*` (any, without credentials), `**` (any, by name), `null`, or origins such as
    /// `https://example.org:8443` with commas and no blanks between them. A single one is told whatever the request's
    /// origin is. Default `*`.
    pub allow_origins: String,
    /// Methods that are allowed: `*`, `**` (all that there are, by name), or methods with commas between them. Default `*`.
    pub allow_methods: String,
    /// Fields that a request may carry: `*`, `**` (those that it asks for), or names with commas between them. Default `*`.
    pub allow_headers: String,
    /// Fields of the answer that a page may read, with commas between them. By default, or when it is empty, nothing is told.
    pub expose_headers: Option<String>,
    /// How long, in seconds, a browser may remember a preflight; -1: not at all. Default 5.
    pub max_age: i64,
    /// Pages may send cookies and other credentials; then none of `allow_origins`, `allow_methods`, `allow_headers`,
    /// `expose_headers` and `timing_allow_origins` may be `*`, which the first three are by default. Default `false`.
    pub allow_credential: bool,
    /// Regular expressions of origins that are allowed in place of `allow_origins`; at least one, each of 1 to 4096
    /// characters, none of them twice, not anchored unless they say so. Not set by default.
    pub allow_origins_by_regex: Option<Vec<String>>,
    /// Names of origins in the plugin's metadata that are allowed. A name that is not there allows none. Not set by default.
    pub allow_origins_by_metadata: Option<Vec<String>>,
    /// Origins that may read timings, told in `Timing-Allow-Origin`; written as `allow_origins`. Not set by default.
    pub timing_allow_origins: Option<String>,
    /// Regular expressions of origins that may read timings, in place of `timing_allow_origins`; written as
    /// `allow_origins_by_regex`. Not set by default.
    pub timing_allow_origins_by_regex: Option<Vec<String>>,
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self {
            allow_origins: "*".to_owned(),
            allow_methods: "*".to_owned(),
            allow_headers: "*".to_owned(),
            expose_headers: None,
            max_age: 5,
            allow_credential: false,
            allow_origins_by_regex: None,
            allow_origins_by_metadata: None,
            timing_allow_origins: None,
            timing_allow_origins_by_regex: None,
        }
    }
}

/// What `cors` is told once for the whole gateway.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CorsMetadata {
    /// Origins by name, written as `allow_origins` of a block. Default: none.
    pub allow_origins: BTreeMap<String, String>,
}
