//! What an operator writes.
use serde::Deserialize;

/// Options of `ldap-auth` on a route.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LdapAuthConfig {
    /// Address of the directory: `host:port`, or a host alone for port 389. Required.
    pub ldap_uri: String,
    /// The entry below which users are, such as `ou=users,dc=example,dc=org`. Required.
    pub base_dn: String,
    /// Attribute that names users there. Default `cn`.
    pub uid: String,
    /// Whether TLS is spoken from the first byte on (`ldaps`). Default `false`.
    pub use_tls: bool,
    /// Whether the directory's certificate is verified, by the system's roots and the host of `ldap_uri`. Default
    /// `false`.
    pub tls_verify: bool,
    /// Longest time of a log-in in milliseconds, 1 to 60,000: waiting for its turn, connecting and binding. Default
    /// 10,000.
    pub timeout: u64,
    /// Removes `Authorization` before the request is forwarded. Default `false`.
    pub hide_credentials: bool,
    /// The realm in `WWW-Authenticate`: printable ASCII without `"` and `\`. Default `ldap`.
    pub realm: String,
}

impl Default for LdapAuthConfig {
    fn default() -> Self {
        Self {
            ldap_uri: String::new(),
            base_dn: String::new(),
            uid: "cn".to_owned(),
            use_tls: false,
            tls_verify: false,
            timeout: 10_000,
            hide_credentials: false,
            realm: "ldap".to_owned(),
        }
    }
}

impl LdapAuthConfig {
    /// The block of this directory and entry, everything else at its default.
    pub fn new(ldap_uri: impl Into<String>, base_dn: impl Into<String>) -> Self {
        Self { ldap_uri: ldap_uri.into(), base_dn: base_dn.into(), ..Self::default() }
    }
}

/// The block of `ldap-auth` on a consumer.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LdapAuthCredential {
    /// The consumer's entry: its whole distinguished name, 1 to 4,096 bytes; compared byte for byte. Required, and
    /// nobody else's.
    pub user_dn: String,
}

impl LdapAuthCredential {
    /// The block of this entry.
    pub fn new(user_dn: impl Into<String>) -> Self {
        Self { user_dn: user_dn.into() }
    }
}
