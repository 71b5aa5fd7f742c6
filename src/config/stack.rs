//! Parsers recurse: the deepest document that is let through must fit whatever stack the caller has left.
use std::io;
use std::panic::resume_unwind;
use std::thread;

/// 64 levels of the YAML parser take some 2 MiB without optimisation.
const BYTES: usize = 16 << 20;

/// Runs `parse` on a stack of its own, and waits for it.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn on_deep_stack<T: Send>(parse: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let parsing = thread::Builder::new().stack_size(BYTES).spawn_scoped(scope, parse)?;
        Ok(parsing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
