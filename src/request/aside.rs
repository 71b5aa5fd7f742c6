//! Layers that are passed by.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Request extension of a layer that an answer may go past, since the caller has a block of the plugin himself: whether it did. The
/// layer's future is dropped then, as if the client had gone away.
#[derive(Clone, Debug, Default)]
pub(crate) struct SteppedAside(Arc<AtomicBool>);

impl SteppedAside {
    /// The answer goes past.
    pub(crate) fn step(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether it went past.
    pub(crate) fn has_stepped(&self) -> bool {
        self.0.load(Relaxed)
    }
}
