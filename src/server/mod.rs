//! Own listeners.
