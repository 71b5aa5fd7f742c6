//! The catalogue: one folder or file for each plugin.
#[cfg(feature = "callout")]
pub mod callout;
