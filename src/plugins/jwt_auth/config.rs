//! What an operator writes.
use std::collections::BTreeMap;

use serde::Deserialize;

use super::JwtAlgorithm;
use crate::model::Sensitive;

/// Options of `jwt-auth` on a route.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct JwtAuthConfig {
    /// The header that carries the token, with or without `Bearer ` before it. Default `authorization`.
    pub header: String,
    /// The argument of the query that carries the token if the header is absent. Default `jwt`.
    pub query: String,
    /// The cookie that carries the token if header and argument are absent. Default `jwt`.
    pub cookie: String,
    /// Takes the token out of the request before it is forwarded, where it was found; everywhere if the anonymous consumer
    /// comes in. Default `false`.
    pub hide_credentials: bool,
    /// The claim that holds the consumer's `key`. Default `key`.
    pub key_claim_name: String,
    /// Leaves the token's claims to the plugins and services behind, as request extension [`JwtClaims`](super::JwtClaims).
    /// Default `false`.
    pub store_in_ctx: bool,
    /// The realm in `WWW-Authenticate`: printable ASCII without `"` and `\`. Default `jwt`.
    pub realm: String,
    /// Name of the consumer that a request without a valid token counts as. Default: none, it is refused.
    pub anonymous_consumer: Option<String>,
    /// Claims of time that a token must have: `exp`, `nbf`. Those that it has count in any case. Default: none.
    pub claims_to_verify: Vec<TimeClaim>,
    /// **Extension.** Refuses a request that carries tokens in more than one of header, query and cookie (security.md
    /// AUTH-04). Default `false`: the first one counts.
    pub one_location: bool,
    /// **Extension.** Headers that the origin gets, by the claims that they are filled from: text as it is, everything
    /// else as JSON. A client's own headers of these names never pass, nor does a claim that no header can hold.
    /// Default: none.
    pub claims_to_headers: BTreeMap<String, String>,
}

impl Default for JwtAuthConfig {
    fn default() -> Self {
        Self {
            header: "authorization".to_owned(),
            query: "jwt".to_owned(),
            cookie: "jwt".to_owned(),
            hide_credentials: false,
            key_claim_name: "key".to_owned(),
            store_in_ctx: false,
            realm: "jwt".to_owned(),
            anonymous_consumer: None,
            claims_to_verify: Vec::new(),
            one_location: false,
            claims_to_headers: BTreeMap::new(),
        }
    }
}

/// A claim of time (RFC 7519 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TimeClaim {
    /// `exp`: the token counts before this time.
    Exp,
    /// `nbf`: the token counts from this time on.
    Nbf,
}

/// The block of `jwt-auth` on a consumer or credential.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct JwtAuthCredential {
    /// What the token's claim `key_claim_name` says, 1 to 1,024 bytes. Required, and nobody else's.
    pub key: String,
    /// The secret of the `HS` algorithms, at least 1 byte; required with them.
    pub secret: Option<Sensitive>,
    /// The public key of all other algorithms, as PEM (`PUBLIC KEY`, or `RSA PUBLIC KEY` of 2,048 bits or more); required
    /// with them.
    pub public_key: Option<String>,
    /// The one algorithm that the consumer's tokens are signed by. Default `HS256`.
    pub algorithm: JwtAlgorithm,
    /// For how many seconds helpers that sign tokens make them valid; at least 1. Nothing here reads it. Default 86,400.
    pub exp: u64,
    /// The secret is Base64. Default `false`.
    pub base64_secret: bool,
    /// By how many seconds the clock of who signed may be off. Default 0.
    pub lifetime_grace_period: u64,
}

impl Default for JwtAuthCredential {
    fn default() -> Self {
        Self {
            key: String::new(),
            secret: None,
            public_key: None,
            algorithm: JwtAlgorithm::default(),
            exp: 86_400,
            base64_secret: false,
            lifetime_grace_period: 0,
        }
    }
}
