//! An API gateway that a Rust program embeds: routes, services, upstreams, consumers and plugins as in Apache APISIX,
//! each plugin a [tower](https://docs.rs/tower) `Layer` and the whole a tower `Service`.
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use tollgate::gateway::Route;
//! use tollgate::{Body, Gateway};
//! use tower::ServiceExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::BoxError> {
//! let hello = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new("hello\n".to_owned())) });
//! let gateway = Gateway::builder().route(Route::new("/hello/:name").host("api.test").to_service(hello)).build()?;
//!
//! // A tower service of any request: call it, or mount it in an axum or hyper server, or in `server::Server`.
//! let request = Request::get("http://api.test/hello/you").body(Body::empty())?;
//! let response = gateway.clone().oneshot(request).await?;
//! assert_eq!(response.into_body().buffer(1024).await?, "hello\n");
//!
//! // The same out of a document, swapped in while requests run.
//! let document = serde_json::json!({"routes": [
//!     {"id": "shop", "uri": "/shop/*", "upstream": {"nodes": {"127.0.0.1:7001": 1}}},
//! ]});
//! gateway.apply(tollgate::model::read(&document, &Default::default()).snapshot)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to find what
//!
//! The modules stand in the order in which a request passes them.
//!
//! | | |
//! |---|---|
//! | `server` | own listeners, with limits and time-outs on from the start, and draining |
//! | [`gateway`] | [`Gateway`], its builder, routes in code, `apply` and `follow` |
//! | [`router`] | patterns, hosts and conditions; why a request is routed as it is |
//! | [`request`] | what is known of a request: variables, templates, the consumer |
//! | [`plugin`] | the contract of plugins: [`Plugin`], stages, the registry |
//! | [`upstream`] | endpoints, balancing, retries, the client |
//! | [`model`] | resources as plain data, their validation and JSON Schema |
//! | `config` | the file source |
//! | `store` | configuration in a store, and what gateways follow of it |
//! | `admin`, `control` | what changes a running gateway, and what it tells of itself |
//! | `tls` | certificates of listeners by server name, live |
//! | `proto` | Protobuf definitions, compiled |
//! | `http1`, `net` | the HTTP/1 codec and the sockets beneath it |
//! | `acme`, `ocsp` | certificates that are ordered and renewed, and what authorities say of them |
//! | [`Body`], [`Error`], [`Next`], [`PluginLayer`], … | what all of them speak of |
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `client` (default) | network upstreams over our own HTTP/1 client; without it only services of the program |
//! | `server` | own listeners and the access log |
//! | `http2` | HTTP/2: towards upstreams (`grpc`, `http_version`) and on own listeners, by h2 |
//! | `hyper-server` | upgrades (WebSocket) of requests that came by a host's hyper or axum server |
//! | `axum` | the client's address out of axum's `ConnectInfo` |
//! | `config-file`, `yaml` | the file source; YAML beside JSON |
//! | `store` | configuration in a store that many gateways follow, with its history; a store in memory |
//! | `disk` | the store in a local database |
//! | `etcd` | the store in etcd |
//! | `keyring` | private keys and plugins' secrets are encrypted in stores |
//! | `admin` | the Admin API over a store |
//! | `control` | the control API: what serves, why a request is routed as it is, what was rejected |
//! | `schema` | JSON Schema of every resource |
//! | `tracing` | events through `tracing` |
//! | `dns` | names by DNS itself: times to live, service names; without it the operating system resolves |
//! | `callout` | plugins that ask an HTTP service: `forward-auth`, `opa`, `authz-keycloak` |
//! | `tls` | TLS by rustls on AWS-LC: of own listeners, to upstreams, `https` services of plugins, and Redis |
//! | `acme` | certificates from an ACME authority, ordered and renewed while the gateway runs |
//! | `ocsp` | OCSP stapling |
//! | `oidc` | `openid-connect`: log-in at an OpenID provider, bearer tokens, introspection |
//! | `redis` | limiters that count in Redis (one server, Sentinels, or a cluster), and sessions of `openid-connect` there |
//! | `jwt` | `jwt-auth`: consumers by signed tokens |
//! | `hmac` | `hmac-auth`: consumers by signed requests |
//! | `rego` | `opa` works policies in Rego out by itself, without a server |
//! | `jwe` | `jwe-decrypt`: encrypted tokens |
//! | `casbin` | `authz-casbin`: policies of Casbin |
//! | `cedar` | `cedar`: policies in Cedar, worked out in this process |
//! | `ldap` | `ldap-auth`: consumers by their entries in a directory |
//! | `cas` | `cas-auth`: log-in at a CAS server |
//! | `password-hash` | `basic-auth` takes hashes of passwords: argon2id and scrypt |
//! | `prometheus` | `prometheus`: metrics of requests |
//! | `csrf` | `csrf`: tokens against cross-site request forgery |
//! | `decode` | bodies in gzip and br: `response-rewrite` on such answers, `request-validation` and `oas-validator` on such requests |
//! | `gzip` | `gzip`: answers are compressed while they stream |
//! | `brotli` | `brotli`: the same in br |
//! | `zstd` | `zstd`: the same in zstd |
//! | `body-transformer` | `body-transformer`: bodies by templates, out of JSON, XML and forms |
//! | `grpc-transcode` | `grpc-transcode`: JSON over HTTP to gRPC and back; `protos` are compiled |
//! | `cache` | `proxy-cache`, `graphql-proxy-cache`: answers are kept, in memory or on disk |
//! | `validation` | `request-validation` and `oas-validator`: requests by JSON Schema and by OpenAPI documents |
//! | `full` | all of these |
//!
//! A feature adds; it changes nothing that is there without it.
//!
//! # Promises
//!
//! Nothing here is global: two gateways in one process share nothing but threads. There is no `unsafe`, and no request
//! and no configuration makes it panic. Rules that a comment names by an id, such as H1-01 or LIM-03, stand in
//! `docs/security.md` with the test that shows each; comments that name a chapter (`router.md §4`, `model.md §2`) mean the
//! description of behaviour that the crate was written by. `docs/` in the repository tells the rest:
//! `configuration.md`, `routing.md`, `architecture.md`, `design.md`, `write-a-plugin.md`, `errors.md`, `performance.md`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(any(feature = "acme", feature = "ocsp"))]
mod agenda;
mod body;
mod connect;
mod error;
mod exchange;
#[cfg(any(feature = "acme", feature = "ocsp"))]
mod fetch;
mod grpc;
mod held;
mod hop;
mod host;
mod interim;
mod service;
mod upgrade;
#[cfg(any(feature = "acme", feature = "ocsp"))]
mod wall;

#[cfg(feature = "acme")]
pub mod acme;
#[cfg(feature = "admin")]
pub mod admin;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "config-file")]
pub mod config;
#[cfg(feature = "control")]
pub mod control;
pub mod gateway;
#[cfg(feature = "client")]
pub mod http1;
pub mod model;
#[cfg(feature = "client")]
pub mod net;
#[cfg(feature = "ocsp")]
pub mod ocsp;
pub mod plugin;
pub mod plugins;
#[cfg(feature = "grpc-transcode")]
pub mod proto;
pub mod request;
pub mod router;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "store")]
pub mod store;
#[cfg(any(feature = "config-file", feature = "store", feature = "validation"))]
#[cfg_attr(not(feature = "config-file"), allow(dead_code, unreachable_pub, unused_imports, reason = "for files"))]
mod syntax;
#[cfg(feature = "tls")]
#[cfg_attr(not(feature = "server"), allow(dead_code, unused_imports, reason = "for the handshakes of own listeners"))]
pub mod tls;
pub mod upstream;

pub use body::{Body, BodyError, BoxError};
pub use connect::{ConnectInfo, TlsClient, TlsInfo};
pub use error::{
    Error, Fault, IntoResponse, Request, Response, answer_of, into_problem, reject, reject_empty, reject_error_msg,
    reject_text,
};
pub use exchange::{Attempt, Exchange, Mask, RateLimit};
pub use gateway::Gateway;
pub use plugin::Plugin;
pub use request::Consumer;
pub use service::{BoxFuture, Next, NextFuture, PluginLayer, RejectOr, wire};
pub use upgrade::{Duplex, UpgradeWish, UpgradedIo};

/// The code in these texts is compiled and run with the documentation's tests.
#[cfg(doctest)]
mod texts {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../docs/write-a-plugin.md")]
    struct WriteAPlugin;
}
