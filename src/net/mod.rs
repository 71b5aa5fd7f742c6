//! Sockets without buffers of their own, and the one sweep behind their deadlines.
//!
//! Reads go into one chunk per thread and come back as shared slices, so an idle connection holds no buffer. A deadline
//! is one number per socket; one task per owner looks at all of them four times a second and shuts down what is late,
//! which wakes the task that waits on the socket: no timer is started or stopped on a request's path.
#[cfg(feature = "http2")]
mod gather;
mod io;
mod relay;
mod stream;
mod sweep;
#[cfg(feature = "tls")]
pub(crate) mod tls;
mod transport;

#[cfg(feature = "http2")]
pub(crate) use gather::Gather;
pub use io::{Io, Probe, Room};
pub use relay::{Direction, Relay, Watch};
pub use stream::IoStream;
pub use sweep::{Clock, Late, Reap, Sweep, TICK};
pub use transport::Transport;
