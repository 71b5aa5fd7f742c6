//! Certificates of listeners by server name, live: what a handshake is answered with, and whom it demands.
//!
//! [`Certificates`] is the table; it is changed while handshakes read it, and no connection is touched by that.
//! [`Certificate`] is one entry: names, chains with their keys, and rules. The gateway keeps one table up to date with
//! the `ssls` of its configuration; a host may have its own, under a server of its own.
//!
//! A server name is looked up so: the exact name, then the wildcard `*.rest` that stands for its first label, then `*`.
//! Of several certificates with one name, the one that came first is tried first; one that cannot be shown (it has no
//! chain yet, or none that the client understands) gives way to the next candidate.
mod acceptor;
mod certificate;
mod certificates;
mod client;
mod edition;
mod fault;
mod greeting;
mod handshake;
mod host;
mod name;
mod pair;
mod provider;
mod server;
mod stapling;
mod table;
mod verifier;
mod versions;

#[cfg(feature = "server")]
pub(crate) use acceptor::TlsAcceptor;
pub use certificate::{Certificate, CertificateBuilder};
pub use certificates::Certificates;
pub(crate) use certificates::Change;
pub use client::ClientRules;
pub(crate) use edition::Edition;
pub use fault::{CertificateFault, Part};
#[cfg(feature = "server")]
pub(crate) use greeting::Greeting;
pub use handshake::{HandshakeCounts, HandshakeFault};
pub use host::HostAcceptor;
pub use pair::Pair;
pub use server::ServerTls;
pub use stapling::Stapling;
pub use versions::Versions;
