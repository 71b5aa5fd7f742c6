//! The watch: what changes below the prefix, from a revision on, for as long as somebody reads.
mod assemble;
mod stream;
mod watcher;

pub(super) use stream::news;
