//! One TLS session over one socket.
#![cfg_attr(not(feature = "server"), allow(dead_code, reason = "one side of it is that of listeners"))]

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{AlertDescription, CommonState, Error};
use tokio::io::ReadBuf;

use super::super::transport::Transport;
use super::records::{Opened, goodbye, last_words, open, seal};

/// Bytes of one read from the socket, with what is left of the one before.
const READ: usize = 64 * 1024;
/// Bytes that one write takes at most: a stalled peer shows within so many.
const WRITE: usize = 32 * 1024;
/// More than what encryption adds to them.
const OVERHEAD: usize = 1024;

thread_local! {
    /// What came from a socket, to be decrypted: scratch space, empty between two reads.
    static IN: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(READ));
    /// What is written, in clear, and then encrypted: scratch space.
    static OUT: RefCell<(Vec<u8>, Vec<u8>)> = RefCell::new((Vec::with_capacity(WRITE), vec![0; WRITE + OVERHEAD]));
}

/// Either side's.
pub(super) enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// Does the same on either side.
macro_rules! on {
    ($connection:expr, $side:ident => $call:expr) => {
        match $connection {
            Connection::Client($side) => $call,
            Connection::Server($side) => $call,
        }
    };
}

pub(super) struct Session {
    connection: Connection,
    /// The start of a record whose rest has not come.
    partial: Vec<u8>,
    /// Encrypted, but not yet taken by the socket.
    outgoing: Bytes,
    /// `outgoing` was not offered to the socket yet: it goes with what is written next.
    is_fresh: bool,
    /// Decrypted, but not yet read.
    incoming: Bytes,
    /// No more bytes come.
    end: Option<End>,
    closed: bool,
}

/// How the reading half ended.
enum End {
    /// By the peer's word.
    Clean,
    /// Without it: by the network, or by somebody on the way.
    Cut,
    /// By a message that breaks the rules, or that says why the peer goes.
    Broken(Error),
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            partial: Vec::new(),
            outgoing: Bytes::new(),
            incoming: Bytes::new(),
            is_fresh: false,
            end: None,
            closed: false,
        }
    }

    /// What was agreed upon in the handshake.
    pub(super) fn agreed(&self) -> &CommonState {
        on!(&self.connection, side => side)
    }

    /// Whether a part of a record waits for its rest.
    pub(super) fn is_amid_record(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Says the first word, as a client does. Called once.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.process(&mut [], &mut BytesMut::new()).map(drop)
    }

    /// Ready when the handshake is over and its last message on its way.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>, transport: &Transport) -> Poll<io::Result<()>> {
        loop {
            let said = self.poll_flush(cx, transport);
            // Nobody waits for the alert that says why.
            self.check_end()?;
            ready!(said)?;
            if !self.agreed().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            // What the peer sends behind its last message is application data already.
            let mut early = BytesMut::new();
            ready!(self.receive(cx, transport, &mut early, None))?;
            self.incoming = early.freeze();
        }
    }

    /// As a server in its handshake: hears what has come, once. What was heard is added to `heard`, if anybody wants it.
    pub(super) fn poll_hear(
        &mut self,
        cx: &mut Context<'_>,
        transport: &Transport,
        heard: Option<&mut Vec<u8>>,
    ) -> Poll<io::Result<usize>> {
        let mut early = BytesMut::new();
        let count = ready!(self.receive(cx, transport, &mut early, heard))?;
        // The client may say more with its last message, which is application data already.
        if !early.is_empty() {
            self.incoming = early.freeze();
        }
        // Whoever said more waits for an answer, and tickets go with that.
        self.is_fresh = !self.incoming.is_empty() && !self.agreed().is_handshaking();
        Poll::Ready(Ok(count))
    }

    /// Begins anew with another connection, which hears what the one before heard, and of which nothing was answered.
    pub(super) fn begin_anew(&mut self, connection: Connection, heard: &[u8]) {
        *self = Self::new(connection);
        self.feed(&mut heard.to_vec(), &mut BytesMut::new());
    }

    /// Whether the peer broke a rule, or was refused.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.end, Some(End::Broken(_)))
    }

    /// Whether there is something to say that can wait for no other message.
    pub(super) fn is_to_flush(&self) -> bool {
        !self.outgoing.is_empty() && !self.is_fresh
    }

    /// Says this alert in place of what would be said to a hello that led nowhere.
    pub(super) fn refuse(&mut self, alert: AlertDescription) {
        self.outgoing = Bytes::copy_from_slice(&[21, 3, 3, 0, 2, 2, alert.into()]);
    }

    /// Why there can be no session any more. One whose handshake is over may have ended, and still be answered.
    pub(super) fn check_accepted(&self) -> io::Result<()> {
        match self.end {
            Some(End::Clean) if !self.agreed().is_handshaking() => Ok(()),
            _ => self.check_end(),
        }
    }

    fn check_end(&self) -> io::Result<()> {
        match &self.end {
            None => Ok(()),
            Some(End::Clean | End::Cut) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(End::Broken(error)) => Err(broken(error.clone())),
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        transport: &Transport,
        plain: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if !self.incoming.is_empty() {
            let incoming = std::mem::take(&mut self.incoming);
            plain.extend_from_slice(&incoming);
            return Poll::Ready(Ok(incoming.len()));
        }
        loop {
            match self.end {
                None => {}
                Some(End::Clean) => return Poll::Ready(Ok(0)),
                Some(_) => return Poll::Ready(self.check_end().map(|()| 0)),
            }
            let before = plain.len();
            ready!(self.receive(cx, transport, plain, None))?;
            if plain.len() > before {
                return Poll::Ready(Ok(plain.len() - before));
            }
        }
    }

    /// As [`poll_read`](Self::poll_read) into a caller's buffer; `scratch` is empty before and after.
    pub(super) fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        transport: &Transport,
        scratch: &mut BytesMut,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.incoming.is_empty() {
            ready!(self.poll_read(cx, transport, scratch))?;
            if scratch.len() <= buf.remaining() {
                buf.put_slice(scratch);
                scratch.clear();
                return Poll::Ready(Ok(()));
            }
            self.incoming = scratch.split().freeze();
        }
        let fits = self.incoming.len().min(buf.remaining());
        buf.put_slice(&self.incoming.split_to(fits));
        Poll::Ready(Ok(()))
    }

    /// Reads from the socket once, and tells how many bytes came, before they were opened.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        transport: &Transport,
        plain: &mut BytesMut,
        heard: Option<&mut Vec<u8>>,
    ) -> Poll<io::Result<usize>> {
        IN.with_borrow_mut(|records| {
            records.clear();
            records.extend_from_slice(&self.partial);
            records.reserve(READ - records.len().min(READ / 2));
            let read = match ready!(transport.poll_read(cx, records)) {
                Ok(read) => read,
                Err(error) => {
                    self.end = Some(End::Cut);
                    return Poll::Ready(Err(error));
                }
            };
            if read == 0 {
                self.end = Some(End::Cut);
                return Poll::Ready(Ok(0));
            }
            if let Some(heard) = heard {
                heard.extend_from_slice(records.get(self.partial.len()..).unwrap_or_default());
            }
            self.feed(records, plain);
            Poll::Ready(Ok(read))
        })
    }

    /// Takes what came, with what was there of it before. An error is told with the next read; what came before it counts.
    fn feed(&mut self, records: &mut [u8], plain: &mut BytesMut) {
        self.partial = match (self.process(records, plain), &self.end) {
            (Ok(used), None) => records.get(used..).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        };
    }

    /// Takes what is whole of `records`, and tells how many bytes that were.
    fn process(&mut self, records: &mut [u8], plain: &mut BytesMut) -> io::Result<usize> {
        let mut opened = Opened { used: 0, plain, ended: false, reply: Vec::new() };
        let done = on!(&mut self.connection, side => open(side, records, &mut opened));
        if opened.ended {
            self.end = Some(End::Clean);
        }
        if let Err(error) = &done {
            on!(&mut self.connection, side => last_words(side, &mut opened.reply));
            self.end = Some(End::Broken(error.clone()));
        }
        if !opened.reply.is_empty() {
            let waiting = std::mem::take(&mut self.outgoing);
            self.outgoing = [&waiting[..], &opened.reply].concat().into();
        }
        let used = opened.used;
        done.map(|()| used).map_err(broken)
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        transport: &Transport,
        head: &[u8],
        body: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.is_fresh {
            ready!(self.poll_flush(cx, transport))?;
        }
        match &self.end {
            Some(End::Broken(error)) => return Poll::Ready(Err(broken(error.clone()))),
            _ if self.closed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => {}
        }
        OUT.with_borrow_mut(|(clear, sealed)| {
            let (count, data) = gathered(head, body, clear);
            let sealing = on!(&mut self.connection, side => seal(side, &mut self.partial, data, sealed));
            let length = sealing.map_err(broken)?;
            let sealed = sealed.get(..length).unwrap_or_default();
            self.is_fresh = false;
            let waiting = std::mem::take(&mut self.outgoing);
            let went = match transport.poll_write(cx, &waiting, sealed) {
                Poll::Ready(went) => went?,
                Poll::Pending => 0,
            };
            self.outgoing = match went.checked_sub(waiting.len()) {
                Some(went) => Bytes::copy_from_slice(sealed.get(went..).unwrap_or_default()),
                None => [waiting.get(went..).unwrap_or_default(), sealed].concat().into(),
            };
            Poll::Ready(Ok(count))
        })
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, transport: &Transport) -> Poll<io::Result<()>> {
        self.is_fresh = false;
        while !self.outgoing.is_empty() {
            let count = ready!(transport.poll_write(cx, &self.outgoing, &[]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(count);
        }
        // The memory goes, too.
        self.outgoing = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// Never says the last word: what was sent is no whole.
    pub(super) fn forgo_close(&mut self) {
        self.closed = true;
    }

    /// Says the last word, if that goes without waiting, and if what was said before is out.
    pub(super) fn close(&mut self, transport: &Transport) {
        let broken = matches!(self.end, Some(End::Broken(_)));
        if std::mem::replace(&mut self.closed, true) || broken || !self.outgoing.is_empty() {
            return;
        }
        let mut sealed = [0; 256];
        if let Some(length) = on!(&mut self.connection, side => goodbye(side, &mut self.partial, &mut sealed)) {
            transport.write_now(sealed.get(..length).unwrap_or_default());
        }
    }
}

/// As an error of the socket; [`io::Error::get_ref`] gives rustls' own.
pub(super) fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// `head` and `body` as one piece, as far as one write takes them; small pieces become one record.
fn gathered<'a>(head: &'a [u8], body: &'a [u8], clear: &'a mut Vec<u8>) -> (usize, &'a [u8]) {
    let data = match (head, body) {
        (one, []) | ([], one) => one.get(..WRITE).unwrap_or(one),
        _ => {
            clear.clear();
            clear.extend_from_slice(head.get(..WRITE).unwrap_or(head));
            let room = WRITE - clear.len();
            clear.extend_from_slice(body.get(..room).unwrap_or(body));
            clear.as_slice()
        }
    };
    (data.len(), data)
}

/// What tests do without a socket.
#[cfg(test)]
impl Session {
    /// As if `bytes` had come.
    pub(super) fn hear(&mut self, bytes: &[u8], plain: &mut BytesMut) {
        let mut records = [&self.partial[..], bytes].concat();
        self.feed(&mut records, plain);
    }

    /// As if `data` were written, and the socket took nothing.
    pub(super) fn say(&mut self, data: &[u8]) {
        let mut sealed = Vec::new();
        let length = on!(&mut self.connection, side => seal(side, &mut self.partial, data, &mut sealed)).unwrap();
        self.outgoing = [&self.outgoing[..], &sealed[..length]].concat().into();
    }

    pub(super) fn take_outgoing(&mut self) -> Bytes {
        std::mem::take(&mut self.outgoing)
    }

    pub(super) fn is_open(&self) -> bool {
        self.end.is_none()
    }

    pub(super) fn is_at_end(&self) -> bool {
        matches!(self.end, Some(End::Clean))
    }

    /// Bytes that are kept of what came.
    pub(super) fn held(&self) -> usize {
        self.partial.len() + self.incoming.len()
    }
}
