//! How long the body of one request may be.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Request extension of routes with a layer that sets another limit than the gateway's (security.md LIM-03). It is read with each
/// piece of the body.
#[derive(Clone, Debug)]
pub(crate) struct BodyLimit(Arc<AtomicU64>);

impl BodyLimit {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, bytes: u64) {
        self.0.store(bytes, Relaxed);
    }
}
