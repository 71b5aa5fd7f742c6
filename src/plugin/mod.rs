//! The contract of plugins.
