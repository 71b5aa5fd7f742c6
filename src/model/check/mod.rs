//! Judging a configuration: every fault in one go, each with its place and mend.
pub(crate) mod hint;
mod item;
mod references;
pub(crate) mod shape;
pub(crate) mod walk;

pub(crate) use item::{Described, duplicate, judge};
pub use item::{check, check_item};
pub(crate) use references::{GlobalPlugins, dangling};
