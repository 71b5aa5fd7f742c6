//! Handshakes of listeners.
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use rustls::server::UnbufferedServerConnection;
use rustls::{AlertDescription, CommonState, ServerConfig};
use tokio::sync::Semaphore;

use super::super::{Io, Sweep, Transport};
use super::Layer;
use super::session::{Connection, Session, broken};

/// Bytes that a client may say before it is answered; hellos with keys of every kind have two thousand.
const HELLO: usize = 16 * 1024;
/// Bytes that it may say then; the most of it are its certificates.
const REST: usize = 64 * 1024;

/// What a listener answers hellos with. One for each connection.
pub(crate) trait Greet: Send {
    /// What a hello is tried with first.
    fn first(&mut self) -> Option<Arc<ServerConfig>>;

    /// After a hello that led nowhere: what it is to be tried with instead.
    fn instead(&mut self) -> Option<Arc<ServerConfig>>;

    /// After a hello that led nowhere: the alert that says so, if there is one that says more than rustls' own.
    fn alert(&self) -> Option<AlertDescription>;
}

/// A connection whose handshake is over.
pub(crate) struct Accepted {
    transport: Transport,
    session: Session,
}

impl Accepted {
    /// What was agreed upon.
    pub(crate) fn agreed(&self) -> &CommonState {
        self.session.agreed()
    }

    /// Goes on with it.
    pub(crate) fn into_io(self, sweep: &Sweep) -> Arc<Io> {
        Io::secured(self.transport, Layer::new(self.session), sweep)
    }

    /// Ends it in peace.
    pub(crate) fn close(mut self) {
        self.session.close(&self.transport);
    }
}

/// Makes the handshake of a server. There is no limit on its time in here.
///
/// Each step of it, which may take a processor for a good part of a millisecond, takes one of `turns`, and gives it back
/// after whatever else was waiting for that thread has had it; at once, if all that came was a piece of a message.
///
/// # Errors
/// Those of the socket; and those of TLS, which hold a [`rustls::Error`].
pub(crate) async fn accept(transport: Transport, mut greet: impl Greet, turns: &Semaphore) -> io::Result<Accepted> {
    let mut session =
        Session::new(connection(greet.first().ok_or_else(|| io::Error::other("there is no configuration"))?)?);
    let mut hello = Some(Vec::new());
    let mut allowance = HELLO;
    loop {
        poll_fn(|cx| transport.poll_readable(cx)).await?;
        let turn = turns.acquire().await.map_err(io::Error::other)?;
        let step = poll_fn(|cx| Poll::Ready(session.poll_hear(cx, &transport, hello.as_mut()))).await;
        match step {
            Poll::Ready(count) => allowance = allowance.saturating_sub(count?),
            Poll::Pending => continue,
        }
        if let Some(heard) = &hello {
            answer(&mut session, &mut greet, heard)?;
        }
        if session.is_to_flush() && hello.take().is_some() {
            allowance = REST;
        }
        // What does not go at once is waited for without the turn.
        let _ = poll_fn(|cx| Poll::Ready(session.is_to_flush() && session.poll_flush(cx, &transport).is_ready())).await;
        session.check_accepted()?;
        let over = !session.agreed().is_handshaking();
        if allowance == 0 && !over {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the handshake is too long"));
        }
        // What has only come a piece further has cost nothing, and shall not cost others a turn.
        if session.is_to_flush() || session.is_broken() || over {
            tokio::task::yield_now().await;
        }
        drop(turn);
        if session.is_to_flush() {
            poll_fn(|cx| session.poll_flush(cx, &transport)).await?;
        }
        if over {
            return Ok(Accepted { transport, session });
        }
    }
}

/// Tries a hello that led nowhere with something else. A table that changes meanwhile may lead elsewhere again.
fn answer(session: &mut Session, greet: &mut impl Greet, heard: &[u8]) -> io::Result<()> {
    for _ in 0..3 {
        match greet.instead().filter(|_| session.is_broken()) {
            Some(config) => session.begin_anew(connection(config)?, heard),
            None => break,
        }
    }
    if session.is_broken()
        && let Some(alert) = greet.alert()
    {
        session.refuse(alert);
    }
    Ok(())
}

fn connection(config: Arc<ServerConfig>) -> io::Result<Connection> {
    UnbufferedServerConnection::new(config).map(Connection::Server).map_err(broken)
}
