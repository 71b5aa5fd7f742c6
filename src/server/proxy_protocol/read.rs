//! Reading a header from a connection.
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

use super::header::{Claim, Progress, begins, progress};
use super::options::ProxyProtocol;
use crate::net::Transport;

/// Reads the header of a peer whose headers are believed: its own bytes and none behind. Without `options.optional` there is
/// one.
///
/// # Errors
/// The connection broke or ended, or what came is no header.
pub(in crate::server) async fn read(transport: &Transport, options: &ProxyProtocol) -> io::Result<Claim> {
    if let (true, Transport::Tcp(stream)) = (options.optional, transport)
        && !is_header(stream).await?
    {
        return Ok(Claim::Own);
    }
    let mut bytes = Vec::new();
    loop {
        match progress(&bytes).map_err(|_| io::ErrorKind::InvalidData)? {
            Progress::Whole(claim) => return Ok(claim),
            Progress::More(count) => transport.read_exactly(&mut bytes, count).await?,
        }
    }
}

/// Longest that it takes to tell a header.
const TELLING: usize = 12;

/// Whether a header comes, seen without taking it.
async fn is_header(stream: &TcpStream) -> io::Result<bool> {
    loop {
        let mut room = [0; TELLING];
        let mut seen = ReadBuf::new(&mut room);
        poll_fn(|cx| stream.poll_peek(cx, &mut seen)).await?;
        let seen = seen.filled();
        if let Some(begins) = begins(seen) {
            return Ok(begins);
        }
        if seen.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // What was seen stays there and keeps the socket readable: the readiness is cleared, unless more came meanwhile.
        let mut room = [MaybeUninit::uninit(); TELLING];
        // A FIN is behind all data: after one, what can be seen now is all there will be. tokio keeps that readiness, so it
        // cannot be waited for again.
        let closed = stream.ready(Interest::READABLE).await?.is_read_closed();
        let more = || match SockRef::from(stream).peek(&mut room)? {
            count if count > seen.len() => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        };
        match stream.try_io(Interest::READABLE, more) {
            Err(error) if closed && error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}
