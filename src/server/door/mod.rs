//! Sockets that connections come in by: opening them, taking connections, closing them without losing any.
mod error;
mod inherited;
mod open;
mod socket;
mod unix;

pub use error::BindError;
pub use inherited::InheritedSocket;
pub(super) use open::{judge, open};
pub(super) use socket::{Accepted, Door};
