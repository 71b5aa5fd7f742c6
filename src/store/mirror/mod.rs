//! [`Mirror`]: one process's look at a store.
mod assemble;
mod follow;
mod handle;
mod intake;
mod keep;
mod options;
mod references;
mod source;
mod status;
mod view;

pub use handle::Mirror;
pub use options::MirrorOptions;
pub use source::MirrorSource;
pub use status::MirrorStatus;
pub use view::View;
