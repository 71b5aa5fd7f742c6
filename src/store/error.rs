//! Why a store did not do what it was asked for.
use std::sync::Arc;

/// Why a store did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A guard of the transaction does not hold; nothing was changed. Read anew and try again.
    #[error("the configuration was changed by somebody else meanwhile")]
    Conflict,
    /// The store cannot be reached, or not in time. A write may have happened or not.
    #[error("{place}: {message}")]
    Unavailable {
        /// The store.
        place: Arc<str>,
        /// What happened.
        message: String,
    },
    /// The store refuses: no permission, read-only, out of space. Nothing was changed.
    #[error("{place}: {message}")]
    Refused {
        /// The store.
        place: Arc<str>,
        /// What it says.
        message: String,
    },
    /// What is stored cannot be read.
    #[error("{place}: {message}")]
    Corrupt {
        /// The store.
        place: Arc<str>,
        /// What is wrong, and the way out.
        message: String,
    },
}
