//! A zone on disk: a file for each answer, and a table of them in memory.
mod beside;
mod body;
mod file;
mod folder;
mod lock;
mod pace;
mod private;
mod purged;
mod removal;
mod scan;
#[cfg(test)]
mod tests;
mod writer;
mod zone;

pub(super) use body::{FileBody, OnDisk};
pub(crate) use writer::DiskWriter;
pub(super) use zone::Disk;
