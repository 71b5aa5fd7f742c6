//! `authz-keycloak`: asks Keycloak whether the bearer of a token may have what a request needs (User-Managed Access 2.0, as
//! Keycloak's Authorization Services speak it). Stage: access.
//!
//! Decision:
//! 1. a form that is posted to `password_grant_token_generation_incoming_uri`: 422 without `username` or `password` in it, 400
//!    with several of one, else what Keycloak answers to a password grant, with `Cache-Control: no-store`
//! 2. no `Authorization` → 401 `{"message":"Missing JWT token in request"}`; several → 400; what has not the form of a JWT → 401
//!    `{"message":"Invalid JWT token in request"}`
//! 3. what is needed: with `lazy_load_paths` the resources that Keycloak has for the path, else `permissions`; with
//!    `http_method_as_scope` each of them with the method as its scope (a method that is no letters, digits, `-` and `_` is
//!    nobody's, as in 4)
//! 4. nothing is needed → 403 `{"error":"access_denied","error_description":"not_authorized"}`, or 307 to
//!    `access_denied_redirect_uri`; with `policy_enforcement_mode: PERMISSIVE` Keycloak is asked without a permission, which
//!    it answers by all permissions of the client
//! 5. Keycloak answers the token, which it judges, with a yes → the request passes; with 403 → that, or the 307; with another
//!    status from 400 on → that status and body, with `Content-Type`, `Cache-Control`, `Pragma`, `WWW-Authenticate` and
//!    `Retry-After`
//! 6. it cannot be reached, answers anything else, or everything that is asked about the request takes longer than `timeout` →
//!    503 without a body
//!
//! A token is not verified here: Keycloak does so with each question, and there is none without. The discovery document is kept for
//! `cache_ttl_seconds`, the gateway's own token (client credentials, for `lazy_load_paths`) as long as it holds, until the resource
//! endpoint takes it no more, and for a day at most; of a Keycloak that is away nobody asks for them again within a pause that grows
//! from one second to ten. A document by `https` may name no endpoint by `http`. Decisions are not cached.
//!
//! * Of several permissions Keycloak asks for any: it says yes where it grants one of them, be they `permissions` or the resources
//!   of a path. For all of them, write a policy of Keycloak's that asks for all.
//! * The path, that of the log-in as well, is the one that the client sent, made canonical and without its query, before
//!   `proxy-rewrite` and the like: a realm's resources have the addresses that clients know. What is forwarded is not asked about (in
//!   difference to security.md PLG-03), so rewrite by the path alone where `lazy_load_paths` decides.
//! * The log-in is as good for guessing passwords as any. `limit-count` and `limit-req` stand behind this plugin unless they have a
//!   `_meta.priority` above 2000; Keycloak's own brute force detection sees the gateway as the client.
//!
//! DEVIATE from the reference: a permission with a scope beside `http_method_as_scope` is refused when it is loaded (the reference asks
//! for both scopes, and Keycloak says yes for either); what has not the form of a JWT is refused without Keycloak; the query is no part
//! of the path; only `{"result":true}` is a yes.
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
mod answers;
mod config;
mod endpoints;
mod error;
mod layer;
mod login;
mod permission;
mod plugin;
mod server;
#[cfg(test)]
mod tests;
mod token;

pub use config::{AuthzKeycloakConfig, EnforcementMode};
pub use layer::{AuthzKeycloak, AuthzKeycloakLayer};
pub use plugin::AuthzKeycloakPlugin;
