//! Why there is no stapler.

/// Why a stapler cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("TLS towards responders cannot be set up: {0}")]
pub struct OcspFault(pub(super) String);
