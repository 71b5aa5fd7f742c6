//! One probe of one endpoint.
mod connect;
#[cfg(feature = "http2")]
mod grpc;
mod http;
mod prober;
mod status_line;

pub(crate) use prober::Prober;
