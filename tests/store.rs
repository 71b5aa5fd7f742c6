//! Stores: what all of them do alike, and what each does beside it.
#![cfg(feature = "store")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "store/behaviour.rs"]
mod behaviour;
#[cfg(feature = "disk")]
#[path = "store/disk.rs"]
mod disk;
#[cfg(feature = "disk")]
#[path = "store/killed.rs"]
mod killed;
#[path = "store/memory.rs"]
mod memory;
