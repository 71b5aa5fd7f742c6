//! What an operator writes.
use aws_lc_rs::hmac;
use serde::Deserialize;

use crate::model::Sensitive;

/// Options of `hmac-auth` on a route.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HmacAuthConfig {
    /// The algorithms that clients may choose from; one at least. Default: all three.
    pub allowed_algorithms: Vec<HmacAlgorithm>,
    /// By how many seconds `Date` may differ from the clock here; at least 1. Default 300.
    pub clock_skew: u64,
    /// What has to be among the signed headers, each name 1 to 50 characters in any case; `@request-target` is the method
    /// and target. `date` has to be in any case. Default `["date"]`.
    pub signed_headers: Vec<String>,
    /// Holds the body against `Digest`, which means to keep the whole of it in memory. Default `false`.
    pub validate_request_body: bool,
    /// The longest body that is validated, in bytes; at least 1. Default 67,108,864.
    pub max_req_body_size: usize,
    /// **Extension.** Refuses a signature that was taken before (security.md AUTH-06). Each node remembers its own, up to a
    /// million, for as long as their dates are taken. Clients must send no two equal requests within a second. Default
    /// `false`.
    pub refuse_replays: bool,
    /// Removes `Authorization` before the request is forwarded. Default `false`.
    pub hide_credentials: bool,
    /// The realm in `WWW-Authenticate`: printable ASCII without `"` and `\`. Default `hmac`.
    pub realm: String,
    /// Name of the consumer that a request without a valid signature counts as. Default: none, it is refused.
    pub anonymous_consumer: Option<String>,
}

impl Default for HmacAuthConfig {
    fn default() -> Self {
        Self {
            allowed_algorithms: vec![HmacAlgorithm::Sha1, HmacAlgorithm::Sha256, HmacAlgorithm::Sha512],
            clock_skew: 300,
            signed_headers: vec!["date".to_owned()],
            validate_request_body: false,
            max_req_body_size: 64 << 20,
            refuse_replays: false,
            hide_credentials: false,
            realm: "hmac".to_owned(),
            anonymous_consumer: None,
        }
    }
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HmacAlgorithm {
    /// `hmac-sha1`.
    #[serde(rename = "hmac-sha1")]
    Sha1,
    /// `hmac-sha256`.
    #[serde(rename = "hmac-sha256")]
    Sha256,
    /// `hmac-sha512`.
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

impl HmacAlgorithm {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "hmac-sha1" => Some(Self::Sha1),
            "hmac-sha256" => Some(Self::Sha256),
            "hmac-sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// The block of `hmac-auth` on a consumer or credential.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HmacAuthCredential {
    /// The key's id, 1 to 256 bytes; compared byte for byte. Required, and nobody else's.
    pub key_id: String,
    /// The secret, 1 to 256 bytes. Required.
    pub secret_key: Sensitive,
}

impl HmacAuthCredential {
    /// The block of this id and secret.
    pub fn new(key_id: impl Into<String>, secret_key: impl Into<Sensitive>) -> Self {
        Self { key_id: key_id.into(), secret_key: secret_key.into() }
    }
}
