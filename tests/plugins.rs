//! What each plugin does in a whole gateway: configured from a file, asked by raw bytes, in front of a recording origin.
#![cfg(test)]
#![cfg(all(feature = "server", feature = "config-file", feature = "yaml"))]
mod peers;

#[path = "plugins/access_address.rs"]
mod access_address;
#[path = "plugins/access_callers.rs"]
mod access_callers;
#[path = "plugins/access_pages.rs"]
mod access_pages;
#[path = "plugins/access_request.rs"]
mod access_request;
#[path = "plugins/api_breaker.rs"]
mod api_breaker;
#[path = "plugins/auth_basic.rs"]
mod auth_basic;
#[cfg(feature = "hmac")]
#[path = "plugins/auth_hmac.rs"]
mod auth_hmac;
#[cfg(feature = "jwt")]
#[path = "plugins/auth_jwt.rs"]
mod auth_jwt;
#[path = "plugins/auth_key.rs"]
mod auth_key;
#[path = "plugins/auth_multi.rs"]
mod auth_multi;
#[cfg(feature = "casbin")]
#[path = "plugins/authz_casbin.rs"]
mod authz_casbin;
#[cfg(feature = "callout")]
#[path = "plugins/authz_keycloak.rs"]
mod authz_keycloak;
#[path = "plugins/batch_requests.rs"]
mod batch_requests;
#[path = "plugins/bodies.rs"]
mod bodies;
#[cfg(feature = "cas")]
#[path = "plugins/cas_auth.rs"]
mod cas_auth;
#[cfg(feature = "cas")]
#[path = "plugins/cas_server.rs"]
mod cas_server;
#[cfg(feature = "cedar")]
#[path = "plugins/cedar.rs"]
mod cedar;
#[path = "plugins/data_mask.rs"]
mod data_mask;
#[path = "plugins/degraphql.rs"]
mod degraphql;
#[cfg(feature = "jwe")]
#[path = "plugins/jwe_decrypt.rs"]
mod jwe_decrypt;
#[cfg(feature = "ldap")]
#[path = "plugins/ldap_auth.rs"]
mod ldap_auth;
#[path = "plugins/limit_scopes.rs"]
mod limit_scopes;
#[path = "plugins/limits.rs"]
mod limits;
#[path = "plugins/proxy_mirror.rs"]
mod proxy_mirror;
#[path = "plugins/serverless.rs"]
mod serverless;
#[path = "plugins/shaping_answers.rs"]
mod shaping_answers;
#[path = "plugins/shaping_fault_injection.rs"]
mod shaping_fault_injection;
#[path = "plugins/shaping_mocking.rs"]
mod shaping_mocking;
#[path = "plugins/shaping_proxy_rewrite.rs"]
mod shaping_proxy_rewrite;
#[path = "plugins/shaping_redirect.rs"]
mod shaping_redirect;
#[path = "plugins/shaping_response_rewrite.rs"]
mod shaping_response_rewrite;
#[path = "plugins/shaping_traffic_split.rs"]
mod shaping_traffic_split;
#[path = "plugins/support.rs"]
mod support;

#[cfg(feature = "full")]
#[path = "plugins/body_transformer.rs"]
mod body_transformer;
#[cfg(feature = "cache")]
#[path = "plugins/cache_keys.rs"]
mod cache_keys;
#[cfg(feature = "full")]
#[path = "plugins/compress.rs"]
mod compress;
#[cfg(feature = "full")]
#[path = "plugins/examples.rs"]
mod examples;
#[cfg(feature = "callout")]
#[path = "plugins/forward_auth.rs"]
mod forward_auth;
#[cfg(feature = "cache")]
#[path = "plugins/graphql_proxy_cache.rs"]
mod graphql_proxy_cache;
#[cfg(all(feature = "callout", feature = "csrf"))]
#[path = "plugins/opa.rs"]
mod opa;
#[cfg(feature = "oidc")]
#[path = "plugins/openid_connect.rs"]
mod openid_connect;
#[cfg(feature = "prometheus")]
#[path = "plugins/prometheus.rs"]
mod prometheus;
#[cfg(feature = "cache")]
#[path = "plugins/proxy_cache.rs"]
mod proxy_cache;
#[cfg(feature = "validation")]
#[path = "plugins/validation.rs"]
mod validation;
