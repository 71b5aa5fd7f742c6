//! The PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`): a balancer in front says whose connection it is.
//!
//! Whoever may send a header can claim any client address, so headers are taken from known peers alone. No byte behind the
//! header is read: what follows it, TLS or a request, is read by whom it is meant for.
mod checksum;
mod header;
mod options;
mod read;
mod version1;
mod version2;

pub(super) use header::Claim;
pub use options::ProxyProtocol;
pub(super) use read::read;

#[cfg(test)]
mod tests;
