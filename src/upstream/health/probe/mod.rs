//! One probe of one endpoint.
mod connect;
#[cfg(feature = "http2")]
mod grpc;
mod http;
mod prober;
mod status_line;

#[expect(unused_imports, reason = "nobody is judged yet")]
pub(crate) use prober::{Prober, Secure, SecureStream, Securing};
