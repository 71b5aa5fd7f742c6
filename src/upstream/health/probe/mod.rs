//! One probe of one endpoint.
mod connect;
#[cfg(feature = "http2")]
mod grpc;
mod http;
mod prober;
mod status_line;

#[cfg(feature = "tls")]
pub(crate) use prober::Securing;
pub(crate) use prober::{Prober, Secure};
