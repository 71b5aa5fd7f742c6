//! What an operator writes.
use serde::Deserialize;

use crate::model::Sensitive;

/// Options of `basic-auth` on a route.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BasicAuthConfig {
    /// Removes `Authorization` before the request is forwarded. Default `false`.
    pub hide_credentials: bool,
    /// The realm in `WWW-Authenticate`: printable ASCII without `"` and `\`. Default `basic`.
    pub realm: String,
    /// Name of the consumer that a request without a valid login counts as. Default: none, it is refused.
    pub anonymous_consumer: Option<String>,
}

impl Default for BasicAuthConfig {
    fn default() -> Self {
        Self { hide_credentials: false, realm: "basic".to_owned(), anonymous_consumer: None }
    }
}

/// The block of `basic-auth` on a consumer or credential.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BasicAuthCredential {
    /// The user name, 1 to 1,024 bytes without a colon; compared byte for byte. Required, and nobody else's.
    pub username: String,
    /// The password, 1 to 4,096 bytes: in clear, or (feature `password-hash`) a PHC string that begins with `$argon2id$`
    /// or `$scrypt$`. Required.
    pub password: Sensitive,
}

impl BasicAuthCredential {
    /// The block of this name and password.
    pub fn new(username: impl Into<String>, password: impl Into<Sensitive>) -> Self {
        Self { username: username.into(), password: password.into() }
    }
}
