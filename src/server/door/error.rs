//! Why a server cannot listen.
use std::io;
use std::sync::Arc;

use crate::model::ListenAddress;

/// Why a server cannot listen.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Something else listens there.
    #[error("cannot listen on {0}: the address is in use; stop what holds it or choose another")]
    InUse(ListenAddress),
    /// The system does not allow it.
    #[error("cannot listen on {0}: permission denied; choose a port above 1023 or grant the capability")]
    Denied(ListenAddress),
    /// The address is none of this machine.
    #[error("cannot listen on {0}: no such address on this machine")]
    NoSuchAddress(ListenAddress),
    /// The address is none of TCP where one must be.
    #[error("cannot listen on {0} as an address of TCP: it is none")]
    NotTcp(ListenAddress),
    /// HTTP/2 was asked for and is not built in.
    #[error("cannot listen on {0}: HTTP/2 needs the feature `http2`")]
    NoHttp2(ListenAddress),
    /// TLS was asked for, without certificates to show.
    #[error("cannot listen on {0}: no certificates are given for TLS")]
    NoTls(ListenAddress),
    /// There is a file at the path of a Unix socket, and it is no socket.
    #[error("cannot listen on {0}: there is a file that is no socket; choose another path")]
    NoSocket(ListenAddress),
    /// A PROXY header can be optional on TCP alone.
    #[error(
        "cannot listen on {0}: a PROXY header cannot be optional there; leave out `optional`, or use an address of TCP"
    )]
    NotOptional(ListenAddress),
    /// Another listener of the same set has the address.
    #[error("cannot listen on {0} twice: leave out one of the two listeners")]
    Twice(ListenAddress),
    /// No socket was inherited by that name.
    #[error("cannot listen on {0}: the process was given no socket of this name")]
    NotInherited(ListenAddress),
    /// The server drains: it opens nothing any more.
    #[error("cannot listen on {0}: the server drains")]
    Draining(ListenAddress),
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address asked for.
        address: ListenAddress,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl BindError {
    /// What the system said, by its kind.
    pub(in crate::server) fn of(address: &ListenAddress, source: io::Error) -> Self {
        let address = address.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::PermissionDenied => Self::Denied(address),
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress(address),
            _ => Self::Other { address, source: Arc::new(source) },
        }
    }

    /// The address asked for.
    pub fn address(&self) -> &ListenAddress {
        match self {
            Self::InUse(address)
            | Self::Denied(address)
            | Self::NoSuchAddress(address)
            | Self::NotTcp(address)
            | Self::NoHttp2(address)
            | Self::NoTls(address)
            | Self::NoSocket(address)
            | Self::NotOptional(address)
            | Self::Twice(address)
            | Self::NotInherited(address)
            | Self::Draining(address)
            | Self::Other { address, .. } => address,
        }
    }
}
