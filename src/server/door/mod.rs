//! Sockets that connections come in by: opening them, taking connections, closing them without losing any.
mod error;
mod open;
mod socket;
mod unix;

pub use error::BindError;
pub(super) use open::open;
pub(super) use socket::{Accepted, Door};
