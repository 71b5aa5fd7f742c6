//! TLS to endpoints: who is believed, who we are, and which name is asked for.
//!
//! [`TlsConfig`] is what an upstream is told; an `Identity` is that compiled, shared by all upstreams that are told the same;
//! a `Naming` is the name that an endpoint has to prove. Connections are shared only where all of them are the same.
mod config;
mod fault;
#[cfg(all(feature = "client", feature = "tls"))]
mod identity;
#[cfg(all(feature = "client", feature = "tls"))]
mod naming;
#[cfg(all(feature = "client", feature = "tls"))]
mod probe;
#[cfg(all(feature = "client", feature = "tls"))]
mod roots;
#[cfg(all(feature = "client", feature = "tls"))]
mod security;
#[cfg(all(any(feature = "client", feature = "callout"), feature = "tls"))]
mod verify;

#[cfg(all(feature = "client", feature = "tls"))]
pub(crate) use config::TlsFault;
pub use config::{ClientCertificate, TlsConfig};
#[cfg(feature = "client")]
pub(super) use fault::is_of_tls;
pub(super) use fault::reason;
#[cfg(all(feature = "client", feature = "tls"))]
pub(crate) use identity::Identities;
#[cfg(all(feature = "client", feature = "tls"))]
pub(crate) use naming::Naming;
#[cfg(all(feature = "client", feature = "tls"))]
pub(crate) use probe::ProbeSecurity;
#[cfg(all(feature = "client", feature = "tls"))]
pub(crate) use security::Security;
#[cfg(all(feature = "callout", feature = "tls"))]
pub(crate) use verify::AnyCertificate;
