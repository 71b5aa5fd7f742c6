//! The plugins that come with the crate, one folder or file each, and the list of them.
mod absent;
pub mod acl;
pub mod api_breaker;
pub mod attach_consumer_label;
#[cfg(feature = "casbin")]
pub mod authz_casbin;
#[cfg(feature = "callout")]
pub mod authz_keycloak;
pub mod basic_auth;
pub mod batch_requests;
#[cfg(feature = "body-transformer")]
pub mod body_transformer;
#[cfg(feature = "brotli")]
pub mod brotli;
#[cfg(any(feature = "cas", feature = "oidc"))]
mod browser;
#[cfg(feature = "cache")]
mod caching;
#[cfg(feature = "callout")]
pub mod callout;
#[cfg(feature = "cas")]
pub mod cas_auth;
#[cfg(feature = "cedar")]
pub mod cedar;
mod chance;
mod checks;
pub mod client_control;
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
pub mod compress;
mod condition;
mod consumer_auth;
pub mod consumer_restriction;
pub mod cors;
#[cfg(feature = "csrf")]
pub mod csrf;
pub mod data_mask;
pub mod degraphql;
pub mod echo;
pub mod edit;
pub mod error_page;
pub mod fault_injection;
#[cfg(feature = "callout")]
pub mod forward_auth;
#[cfg(feature = "cache")]
pub mod graphql_proxy_cache;
#[cfg(feature = "grpc-transcode")]
pub mod grpc_transcode;
pub mod grpc_web;
#[cfg(feature = "gzip")]
pub mod gzip;
#[cfg(feature = "hmac")]
pub mod hmac_auth;
pub mod ip_restriction;
#[cfg(feature = "validation")]
mod json_schema;
#[cfg(feature = "jwe")]
pub mod jwe_decrypt;
#[cfg(feature = "jwt")]
pub mod jwt_auth;
pub mod key_auth;
#[cfg(feature = "ldap")]
pub mod ldap_auth;
pub mod limit;
pub mod limit_conn;
pub mod limit_count;
pub mod limit_req;
pub mod mocking;
pub mod multi_auth;
mod networks;
#[cfg(feature = "validation")]
pub mod oas_validator;
#[cfg(feature = "callout")]
pub mod opa;
#[cfg(feature = "oidc")]
pub mod openid_connect;
mod patterns;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod proxy_buffering;
#[cfg(feature = "cache")]
pub mod proxy_cache;
pub mod proxy_control;
pub mod proxy_mirror;
pub mod proxy_rewrite;
pub mod public_api;
mod random;
pub mod real_ip;
pub mod redirect;
pub mod referer_restriction;
mod representation;
pub mod request_id;
#[cfg(feature = "validation")]
pub mod request_validation;
pub mod response_rewrite;
pub mod serverless;
pub mod serverless_post_function;
pub mod serverless_pre_function;
mod standard;
#[cfg(test)]
mod testing;
pub mod traffic_split;
pub mod ua_restriction;
pub mod uri_blocker;
pub mod workflow;
#[cfg(any(feature = "body-transformer", feature = "cas"))]
mod xml;
#[cfg(feature = "zstd")]
pub mod zstd;

pub use absent::{Absent, absent, never_there};
