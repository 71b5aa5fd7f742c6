//! The gateway: snapshot in, service out.
mod admit;
mod arrival;
mod body_guard;
mod chain;
mod panics;
mod source;

pub use admit::{Admitted, Faulty, admit};
pub use source::{ConfigSource, SourceError};
