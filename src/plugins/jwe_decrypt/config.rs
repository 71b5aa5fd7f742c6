//! What an operator writes.
use serde::Deserialize;

use crate::model::Sensitive;

/// Options of `jwe-decrypt` on a route.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct JweDecryptConfig {
    /// Field that carries the token. Default `Authorization`.
    pub header: String,
    /// Field that is set to what is in the token; none that frames a message, belongs to one hop or chooses the host. Default
    /// `Authorization`.
    pub forward_header: String,
    /// Whether requests without a token are refused. Default `true`.
    pub strict: bool,
    /// Whether tokens are taken as well that were made without regard to RFC 7516, as Apache APISIX makes them: the tag does not vouch for
    /// the header, which may lack `alg` and `enc`. Default `false`.
    pub unauthenticated_header: bool,
}

impl Default for JweDecryptConfig {
    fn default() -> Self {
        Self {
            header: "Authorization".to_owned(),
            forward_header: "Authorization".to_owned(),
            strict: true,
            unauthenticated_header: false,
        }
    }
}

/// The block of `jwe-decrypt` on a consumer.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JweDecryptCredential {
    /// What tokens name as `kid`, 1 to 1,024 bytes. Required, and nobody else's.
    pub key: String,
    /// The secret: 32 bytes, or Base64 of 32 bytes (in either alphabet, with padding or without) under `is_base64_encoded`. Required.
    pub secret: Sensitive,
    /// Whether `secret` is Base64. Default `false`.
    #[serde(default)]
    pub is_base64_encoded: bool,
}

impl JweDecryptCredential {
    /// The block of this key and secret, which is no Base64.
    pub fn new(key: impl Into<String>, secret: impl Into<Sensitive>) -> Self {
        Self { key: key.into(), secret: secret.into(), is_base64_encoded: false }
    }
}
