//! OCSP stapling with openssl's responder, as openssl's client sees it.
#![cfg(test)]
#![cfg(all(feature = "real-servers", feature = "ocsp", feature = "server"))]
mod peers;

#[path = "ocsp/authority.rs"]
mod authority;
#[path = "ocsp/stapling.rs"]
mod stapling;
