//! What does the cryptography of listeners.
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ProducesTickets;

/// AWS-LC. It is named, never taken from the process: a host may have installed another, or none. All its suites encrypt
/// and authenticate at once and have forward secrecy (security.md TLS-01).
pub(super) fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// Keys of session tickets, changed every six hours and good for twelve. Without them nothing is resumed.
pub(super) fn tickets() -> Arc<dyn ProducesTickets> {
    match aws_lc_rs::Ticketer::new() {
        Ok(tickets) => tickets,
        Err(_) => Arc::new(NoTickets),
    }
}

/// For a machine that has no random numbers at the moment.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
