//! Handshakes.
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;

use super::super::{Io, Sweep, Transport};
use super::Layer;
use super::session::{Connection, Session};

/// What a client says first.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) config: Arc<ClientConfig>,
    /// Whom it wants to talk to: asked for (unless it is an address), and verified.
    pub(crate) name: ServerName<'static>,
    /// What it offers to speak (ALPN), best first.
    pub(crate) protocols: Vec<Vec<u8>>,
}

/// A connection whose handshake is over.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) io: Arc<Io>,
    /// Which of the protocols the server chose; `None` when it ignored the offer.
    pub(crate) protocol: Option<Vec<u8>>,
}

/// Makes the handshake of a client. There is no limit on its time in here.
///
/// # Errors
/// Those of the socket; and those of TLS, which hold a [`rustls::Error`].
pub(crate) async fn connect(transport: Transport, hello: Hello, sweep: &Sweep) -> io::Result<Secured> {
    let Hello { config, name, protocols } = hello;
    let connection =
        UnbufferedClientConnection::new_with_alpn(config, name, protocols).map_err(super::session::broken)?;
    let mut session = Session::new(Connection::Client(connection));
    session.begin()?;
    poll_fn(|cx| session.poll_handshake(cx, &transport)).await?;
    let protocol = session.agreed().alpn_protocol().map(<[u8]>::to_vec);
    let io = Io::secured(transport, Layer::new(session), sweep);
    Ok(Secured { io, protocol })
}
