//! What an operator writes.
use serde::Deserialize;

use crate::model::Sensitive;

/// Options of `cas-auth`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CasAuthConfig {
    /// Address of the CAS server, the part before `/login`: such as `https://login.example.com/cas`. Required.
    pub idp_uri: String,
    /// Where the server sends browsers back to, and announces log-outs: a path, which is then looked for at the host
    /// that the browser asked for, or an absolute URL, which goes to the server as it is. A route with this block must
    /// match it. Required.
    pub cas_callback_uri: String,
    /// The path whose `GET` ends the session. A route with this block must match it. Required.
    pub logout_uri: String,
    /// The cookies. Required, since it has the secret.
    pub cookie: CasCookieConfig,
    /// Longest body of an announced log-out, in bytes, 1 or more; a longer one is answered with 413. Default 67108864
    /// (64 MiB). No more than 64 KiB are ever held: what is longer names no ticket.
    pub max_req_body_size: u64,
}

impl Default for CasAuthConfig {
    fn default() -> Self {
        Self {
            idp_uri: String::new(),
            cas_callback_uri: String::new(),
            logout_uri: String::new(),
            cookie: CasCookieConfig::default(),
            max_req_body_size: 64 * 1024 * 1024,
        }
    }
}

impl CasAuthConfig {
    /// The block of this server, these two places and this secret, everything else at its default.
    pub fn new(
        idp_uri: impl Into<String>,
        cas_callback_uri: impl Into<String>,
        logout_uri: impl Into<String>,
        secret: impl Into<Sensitive>,
    ) -> Self {
        Self {
            idp_uri: idp_uri.into(),
            cas_callback_uri: cas_callback_uri.into(),
            logout_uri: logout_uri.into(),
            cookie: CasCookieConfig { secret: secret.into(), ..CasCookieConfig::default() },
            ..Self::default()
        }
    }
}

/// The cookies of `cas-auth`. They are always `HttpOnly`, for the whole host, and end with the browser's session.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CasCookieConfig {
    /// What the cookie of a log-in under way is signed with: 32 characters or more, the same in every gateway.
    /// Required.
    pub secret: Sensitive,
    /// Whether browsers send the cookies over HTTPS alone. Default `true`.
    pub secure: bool,
    /// Whether other sites' requests carry them. Default `Lax`.
    pub samesite: CasSameSite,
}

impl Default for CasCookieConfig {
    fn default() -> Self {
        Self { secret: Sensitive::default(), secure: true, samesite: CasSameSite::Lax }
    }
}

/// `SameSite` of the cookies. There is no `Strict`: the way back from the server is a request that comes from another
/// site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CasSameSite {
    /// Sent when another site's link is followed.
    #[default]
    Lax,
    /// Always sent, such as into a frame of another site. Needs `secure`.
    None,
}
