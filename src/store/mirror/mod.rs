//! [`Mirror`]: one process's look at a store.
mod assemble;
mod follow;
mod mirror;
mod options;
mod references;
mod source;
mod status;
mod view;

pub use mirror::Mirror;
pub use options::MirrorOptions;
pub use source::MirrorSource;
pub use status::MirrorStatus;
pub use view::View;
