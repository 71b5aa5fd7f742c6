//! The block.
use serde::Deserialize;

use crate::model::Sensitive;

/// Options of `csrf`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CsrfConfig {
    /// The secret that tokens are signed with, or a reference to one. Required, and not empty.
    pub key: Sensitive,
    /// How long a token is good for, in seconds, at most 3155760000 (100 years); with 0 or less it is for ever, and the
    /// cookie ends with the browser's session. Default 7200.
    pub expires: i64,
    /// Name of the field and of the cookie. Default `apisix-csrf-token`.
    pub name: String,
    /// How tokens are signed. 1: SHA-256 of a text with the key in it, which other gateways that read this configuration
    /// understand; 2: HMAC-SHA-256. Tokens of the other kind are refused. Default 1.
    pub token_version: u8,
}

impl Default for CsrfConfig {
    fn default() -> Self {
        Self { key: Sensitive::default(), expires: 7200, name: "apisix-csrf-token".to_owned(), token_version: 1 }
    }
}
