//! What the operator is told, where the client is told less.
use std::error::Error;

/// Reports why something failed. Causes never hold tokens, codes or secrets.
pub(super) fn warn(what: &'static str, cause: &(dyn Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::warn!(plugin = super::plugin::NAME, cause, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = (what, cause);
}
