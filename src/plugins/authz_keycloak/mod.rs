//! `authz-keycloak`: asks Keycloak whether the bearer of a token may have what a request needs (User-Managed Access 2.0, as
//! Keycloak's Authorization Services speak it). Stage: access.
//!
//! Decision:
//! 1. `POST` to `password_grant_token_generation_incoming_uri`: 422 without `username` or `password` in the form, else what Keycloak
//!    answers to a password grant
//! 2. no `Authorization` → 401 `{"message":"Missing JWT token in request"}`; several → 400
//! 3. what is needed: with `lazy_load_paths` the resources that Keycloak has for the path, else `permissions`; with
//!    `http_method_as_scope` each of them with the method as its scope
//! 4. nothing is needed → 403 `{"error":"access_denied","error_description":"not_authorized"}`, or 307 to
//!    `access_denied_redirect_uri`; with `policy_enforcement_mode: PERMISSIVE` the request passes
//! 5. Keycloak answers the token, which it judges, with a yes → the request passes; with 403 → that, or the 307; with another
//!    status from 400 on → that status and body
//! 6. it cannot be reached, is silent for `timeout`, or answers anything else → 503 without a body
//!
//! A token is not verified here: Keycloak does so with each question. The discovery document is kept for `cache_ttl_seconds`, the
//! gateway's own token (client credentials, for `lazy_load_paths`) as long as it holds; of a Keycloak that is away nobody asks for
//! them again within ten seconds. Decisions are not cached.
//!
//! ```
//! use tollgate::plugin::bodies::Bodies;
//! use tollgate::plugins::authz_keycloak::{AuthzKeycloak, AuthzKeycloakConfig, AuthzKeycloakLayer};
//!
//! let mut config = AuthzKeycloakConfig::default();
//! config.client_id = "orders".to_owned();
//! config.token_endpoint = Some("http://127.0.0.1:8080/realms/shop/protocol/openid-connect/token".to_owned());
//! config.permissions = vec!["orders#read".to_owned()];
//! let layer = AuthzKeycloakLayer::of(AuthzKeycloak::new(config, Bodies::default())?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"authz-keycloak": {"client_id": "orders", "permissions": ["orders#read"],
//!   "token_endpoint": "http://127.0.0.1:8080/realms/shop/protocol/openid-connect/token"}}
//! ```
mod config;
mod layer;
mod plugin;
mod server;
#[cfg(test)]
mod tests;

pub use config::{AuthzKeycloakConfig, EnforcementMode};
pub use layer::{AuthzKeycloak, AuthzKeycloakLayer};
pub use plugin::AuthzKeycloakPlugin;
