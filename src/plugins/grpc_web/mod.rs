//! `grpc-web`: lets pages in browsers call gRPC services, which browsers cannot do by themselves (gRPC-Web, the PROTOCOL-WEB
//! document of gRPC). Stage: access.
//!
//! 1. `OPTIONS` is answered with 204: a preflight that no `cors` plugin has answered before.
//! 2. Another method than `POST`: 405; a `Content-Type` that is none of `application/grpc-web`, `application/grpc-web+proto`,
//!    `application/grpc-web-text` and `application/grpc-web-text+proto`: 400, both without a body.
//! 3. The request goes on as a gRPC call: base64 of the `-text` forms undone, `Content-Type: application/grpc`, to the path
//!    `/package.Service/Method`. That is what the `*` at the end of the route's pattern matched (`/grpc/*`), or the whole path
//!    where that would be no service and method (`/package.Service/*`), or what another plugin has rewritten the path to.
//! 4. The answer has the request's content type; what the service says at the end (`grpc-status`, `grpc-message`, its own
//!    trailers) comes as a last frame, except where it stands in the head already. A service that ends without a status
//!    counts as 2, `upstream grpc status not received`. What is no gRPC, such as the page of a proxy in between, and the
//!    gateway's own answers, become the status that gRPC clients know for it.
//!
//! Every answer gets `Access-Control-Expose-Headers: grpc-message,grpc-status`, and `Access-Control-Allow-Origin: *` unless a
//! `cors` plugin stands before this one: then it alone decides whose pages may call.
//!
//! A request that is no row of whole messages, is no base64 or holds a frame of trailers is answered with 400; one with more than
//! `max_req_body_size` bytes, or a message of more, with 413. Nothing is kept until its end: of each direction one piece is in
//! memory as it came from the network (16 KiB over HTTP/2), and once more as what it becomes. Each piece of a `-text` answer is
//! base64 of its own, with padding, as the protocol allows: no byte waits for the next one. An answer that breaks off is cut
//! off, so that the client can tell.
//!
//! The upstream is to have the scheme `grpc` or `grpcs`. A preflight has no credentials: together with authentication put
//! a `cors` plugin before it. Unary calls and streams of answers work; streams of requests are nothing that browsers can send.
//!
//! ```
//! use tollgate::plugin::AroundLayer;
//! use tollgate::plugins::grpc_web::{GrpcWeb, GrpcWebConfig};
//!
//! let mut config = GrpcWebConfig::default();
//! config.max_req_body_size = 4 * 1024 * 1024;
//! let layer = AroundLayer::of(GrpcWeb::new(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"grpc-web": {"cors_allow_headers": "content-type,x-grpc-web,x-user-agent,grpc-timeout"}}
//! ```
mod answer;
mod call;
mod config;
mod frames;
mod layer;
#[cfg(test)]
mod tests;

pub use config::GrpcWebConfig;
pub use layer::{GrpcWeb, GrpcWebLayer, GrpcWebPlugin};
