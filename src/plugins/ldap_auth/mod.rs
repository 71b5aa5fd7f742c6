//! `ldap-auth`: identifies the consumer by user name and password, which a directory judges (LDAP, RFC 4511). Stage:
//! authenticate.
//!
//! Decision: 1. no `Authorization`: 401 `Missing authorization in request`; 2. not `Basic` and Base64 of
//! `name:password`, or not in UTF-8: 401 `Invalid authorization in request`; 3. name or password is empty, or the
//! directory does not let `<uid>=<name>,<base_dn>` in with that password (a simple bind): 401 `Invalid user
//! authorization`; 4. the directory cannot be reached, is silent for `timeout`, or answers anything else: 503 without a
//! body; 5. no consumer has that distinguished name as `user_dn`: 401 `Missing related consumer`; 6. else the consumer
//! is attached.
//!
//! * Answers: 401 with `WWW-Authenticate: Basic realm="…"`; 400 for two `Authorization` fields; 503.
//! * Reads `Authorization`; writes the [`Consumer`](crate::request::Consumer) extension and the identity headers that
//!   it names; under `hide_credentials` removes `Authorization`.
//! * A name is escaped (RFC 4514 §2.4), so that it is one value and names one entry below `base_dn`, whatever is in
//!   it. A `user_dn` is compared byte for byte with the name so made: write it as `uid` and `base_dn` are written.
//! * An empty password is never sent, nor one with a NUL, nor what is no UTF-8: to a directory that would be a bind
//!   without authentication, which many let pass, or it may become one further on.
//! * `Missing related consumer` tells whoever guesses that a password is right. Limiters stand behind this plugin: let
//!   the directory lock entries out, or count in front of the gateway.
//!
//! Each request costs a connection and a bind: nothing is remembered, so a password that was changed or an entry that
//! was locked counts at once. At most 64 binds of one directory are under way, 256 more wait for their turn within
//! `timeout`, of which one client may have 80 (of IPv6, one network of 64 bits); what comes then is answered with 503 and `Retry-After` at once. Without `use_tls` the password crosses
//! the network in clear.
//!
//! ```
//! use std::sync::Arc;
//! use tollgate::model::ConsumerSpec;
//! use tollgate::plugin::{AroundLayer, AuthPlugin as _};
//! use tollgate::plugins::ldap_auth::{LdapAuth, LdapAuthConfig, LdapAuthCredential, LdapAuthPlugin};
//! use tollgate::request::{Consumer, Consumers};
//!
//! # fn main() -> Result<(), tollgate::BoxError> {
//! let acme = Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() });
//! let entry = LdapAuthPlugin::default().to_credential(LdapAuthCredential::new("cn=acme,ou=users,dc=example,dc=org"))?;
//! let consumers = Arc::new(Consumers::builder().consumer(&acme, [entry])?.build());
//!
//! let config = LdapAuthConfig::new("127.0.0.1:389", "ou=users,dc=example,dc=org");
//! let layer = AroundLayer::of(LdapAuth::new(config, consumers)?);
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! On a route, and on a consumer:
//!
//! ```json
//! {"ldap-auth": {"ldap_uri": "ldap.internal:636", "base_dn": "ou=users,dc=example,dc=org", "use_tls": true, "tls_verify": true}}
//! ```
//! ```json
//! {"ldap-auth": {"user_dn": "cn=acme,ou=users,dc=example,dc=org"}}
//! ```
mod config;
mod directory;
mod exchange;
mod layer;
mod name;
mod plugin;
mod shares;
mod shelf;
#[cfg(test)]
mod tests;

pub use config::{LdapAuthConfig, LdapAuthCredential};
pub use layer::{LdapAuth, LdapAuthLayer, LdapAuthRejection};
pub use plugin::LdapAuthPlugin;
