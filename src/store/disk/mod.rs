//! [`DiskStore`]: a store in one file of this machine.
//!
//! The file is a redb database. One thread writes it: it takes all transactions that wait, judges them one after the other,
//! writes them down together and then tells all of them (docs/design/store.md).
mod fault;
mod file;
mod store;
mod writer;

pub use store::DiskStore;
