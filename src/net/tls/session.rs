//! One TLS session over one socket.
use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use rustls::Error;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use tokio::io::ReadBuf;

use super::super::transport::Transport;

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

pub(super) struct Session {
    connection: UnbufferedClientConnection,
    /// The start of a record whose rest has not come.
    partial: Vec<u8>,
    /// Encrypted, but not yet taken by the socket.
    outgoing: Bytes,
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

/// What came out of records.
struct Opened<'a> {
    /// Bytes of the records that were taken.
    used: usize,
    plain: &'a mut BytesMut,
    /// The peer announced the end.
    ended: bool,
    /// What is to be said in reply.
    reply: Vec<u8>,
}

impl Session {
    pub(super) fn new(connection: UnbufferedClientConnection) -> Self {
        Self {
            connection,
            partial: Vec::new(),
            outgoing: Bytes::new(),
            incoming: Bytes::new(),
            end: None,
            closed: false,
        }
    }

    /// The protocol that was agreed upon in the handshake.
    pub(super) fn protocol(&self) -> Option<Vec<u8>> {
        self.connection.alpn_protocol().map(<[u8]>::to_vec)
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
            if !self.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            // What the peer sends behind its last message is application data already.
            let mut early = BytesMut::new();
            ready!(self.receive(cx, transport, &mut early))?;
            self.incoming = early.freeze();
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
            let count = ready!(self.receive(cx, transport, plain))?;
            if count > 0 {
                return Poll::Ready(Ok(count));
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

    /// Reads from the socket once; how many bytes of application data came of it.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        transport: &Transport,
        plain: &mut BytesMut,
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
            let before = plain.len();
            self.feed(records, plain);
            Poll::Ready(Ok(plain.len() - before))
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
        let done = open(&mut self.connection, records, &mut opened);
        if opened.ended {
            self.end = Some(End::Clean);
        }
        if let Err(error) = &done {
            last_words(&mut self.connection, &mut opened.reply);
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
        ready!(self.poll_flush(cx, transport))?;
        match &self.end {
            Some(End::Broken(error)) => return Poll::Ready(Err(broken(error.clone()))),
            _ if self.closed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => {}
        }
        OUT.with_borrow_mut(|(clear, sealed)| {
            let (count, data) = gathered(head, body, clear);
            let length = seal(&mut self.connection, &mut self.partial, data, sealed).map_err(broken)?;
            let sealed = sealed.get(..length).unwrap_or_default();
            let went = match transport.poll_write(cx, sealed, &[]) {
                Poll::Ready(went) => went?,
                Poll::Pending => 0,
            };
            self.outgoing = Bytes::copy_from_slice(sealed.get(went..).unwrap_or_default());
            Poll::Ready(Ok(count))
        })
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, transport: &Transport) -> Poll<io::Result<()>> {
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
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.partial);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state
            && let Ok(length) = traffic.queue_close_notify(&mut sealed)
        {
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

/// Opens whole records, one after the other.
///
/// What is left of `records` must be in front of the next ones: rustls remembers how far it looked into them, and panics
/// if they are not there.
fn open(connection: &mut UnbufferedClientConnection, records: &mut [u8], opened: &mut Opened<'_>) -> Result<(), Error> {
    loop {
        let rest = records.get_mut(opened.used..).unwrap_or_default();
        let UnbufferedStatus { discard, state } = connection.process_tls_records(rest);
        let mut more = true;
        opened.used += discard;
        match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    opened.plain.extend_from_slice(record.payload);
                    opened.used += record.discard;
                }
            }
            ConnectionState::EncodeTlsData(message) => encode(message, &mut opened.reply)?,
            // It is in the reply, which goes out before anything else.
            ConnectionState::TransmitTlsData(message) => message.done(),
            ConnectionState::PeerClosed => opened.ended = true,
            ConnectionState::Closed => {
                opened.ended = true;
                more = false;
            }
            ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => more = false,
            _ => return Err(Error::General(String::from("a state that was not asked for"))),
        }
        if !more {
            return Ok(());
        }
    }
}

fn encode(mut message: EncodeTlsData<'_, ClientConnectionData>, reply: &mut Vec<u8>) -> Result<(), Error> {
    let from = reply.len();
    let refused = |error: EncodeError| Error::General(error.to_string());
    match message.encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => {
            reply.resize(from + size.required_size, 0);
            let room = reply.get_mut(from..).unwrap_or_default();
            message.encode(room).map(drop).map_err(refused)
        }
        ended => ended.map(drop).map_err(refused),
    }
}

/// The alert that tells the peer what was wrong. Nothing else may be asked of a connection that has failed: rustls panics
/// when it is to fail twice.
fn last_words(connection: &mut UnbufferedClientConnection, reply: &mut Vec<u8>) {
    while connection.wants_write() {
        let Ok(ConnectionState::EncodeTlsData(message)) = connection.process_tls_records(&mut []).state else { return };
        if encode(message, reply).is_err() {
            return;
        }
    }
}

/// Encrypts `data` into the front of `sealed`, and tells how much of it that took.
fn seal(
    connection: &mut UnbufferedClientConnection,
    partial: &mut [u8],
    data: &[u8],
    sealed: &mut Vec<u8>,
) -> Result<usize, Error> {
    // New keys are announced before they are used.
    let mut before = Vec::new();
    loop {
        // All whole records have been taken out of `partial`: nothing is read here.
        match connection.process_tls_records(partial).state? {
            ConnectionState::EncodeTlsData(message) => encode(message, &mut before)?,
            ConnectionState::TransmitTlsData(message) => message.done(),
            ConnectionState::WriteTraffic(mut traffic) => {
                let from = before.len();
                let length = encrypt(&mut traffic, data, sealed, from)?;
                if let Some(front) = sealed.get_mut(..from) {
                    front.copy_from_slice(&before);
                }
                return Ok(from + length);
            }
            _ => return Err(Error::General(String::from("nothing can be written now"))),
        }
    }
}

fn encrypt(
    traffic: &mut WriteTraffic<'_, ClientConnectionData>,
    data: &[u8],
    sealed: &mut Vec<u8>,
    from: usize,
) -> Result<usize, Error> {
    loop {
        let room = sealed.get_mut(from..).unwrap_or_default();
        match traffic.encrypt(data, room) {
            Err(EncryptError::InsufficientSize(size)) if from + size.required_size > sealed.len() => {
                sealed.resize(from + size.required_size, 0);
            }
            ended => return ended.map_err(|error| Error::General(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use proptest::prelude::*;
    use proptest::sample::Index;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};

    use super::*;

    type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

    fn configs(tls13: bool) -> Configs {
        let versions = if tls13 { [&TLS13] } else { [&TLS12] };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions).unwrap();
        let server = server.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions).unwrap();
        (Arc::new(client.with_root_certificates(roots).with_no_client_auth()), Arc::new(server))
    }

    /// How somebody on the way spoils what the server says.
    #[derive(Clone, Debug)]
    struct Spoiled {
        flight: usize,
        at: Index,
        /// Bytes at a place that are replaced, by how many others.
        cut: usize,
        put: Vec<u8>,
    }

    fn spoiled() -> impl Strategy<Value = Option<Spoiled>> {
        let one = (0..5_usize, any::<Index>(), 0..40_usize, prop::collection::vec(any::<u8>(), 0..40));
        prop::option::weighted(0.8, one.prop_map(|(flight, at, cut, put)| Spoiled { flight, at, cut, put }))
    }

    /// A whole conversation, in memory, in pieces. What was understood.
    fn converse(configs: &Configs, spoiled: Option<&Spoiled>, pieces: &[usize]) -> (Vec<u8>, bool) {
        let name = ServerName::try_from("localhost").unwrap();
        let client = UnbufferedClientConnection::new(Arc::clone(&configs.0), name).unwrap();
        let mut session = Session::new(client);
        let mut server = ServerConnection::new(Arc::clone(&configs.1)).unwrap();
        let mut plain = BytesMut::new();
        session.begin().unwrap();
        let mut sizes = pieces.iter().cycle();
        for flight in 0..5 {
            let mut said = std::mem::take(&mut session.outgoing);
            while !said.is_empty() {
                let mut bytes = said.chunk();
                let count = server.read_tls(&mut bytes).unwrap();
                said.advance(count);
                if server.process_new_packets().is_err() {
                    return (plain.to_vec(), false);
                }
            }
            if !server.is_handshaking() {
                match flight {
                    0..3 => server.writer().write_all(&[b'x'; 3000]).unwrap(),
                    3 => server.send_close_notify(),
                    _ => {}
                }
            }
            let mut heard = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut heard).unwrap();
            }
            if let Some(Spoiled { at, cut, put, .. }) = spoiled.filter(|spoiled| spoiled.flight == flight)
                && !heard.is_empty()
            {
                let from = at.index(heard.len());
                let to = heard.len().min(from + cut);
                heard.splice(from..to, put.iter().copied());
            }
            while !heard.is_empty() && session.end.is_none() {
                let size = heard.len().min(*sizes.next().unwrap());
                let piece: Vec<u8> = heard.drain(..size).collect();
                let mut records = [session.partial.clone(), piece].concat();
                session.feed(&mut records, &mut plain);
                if session.end.is_none() && !session.connection.is_handshaking() {
                    let mut sealed = Vec::new();
                    let length = seal(&mut session.connection, &mut session.partial, b"amid", &mut sealed).unwrap();
                    session.outgoing = [&session.outgoing[..], &sealed[..length]].concat().into();
                }
            }
        }
        (plain.to_vec(), matches!(session.end, Some(End::Clean)))
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_says_panics_or_is_misunderstood(
            tls13: bool, spoiled in spoiled(), pieces in prop::collection::vec(1..2000_usize, 1..20),
        ) {
            static CONFIGS: std::sync::LazyLock<[Configs; 2]> = std::sync::LazyLock::new(|| [false, true].map(configs));
            let (plain, clean) = converse(&CONFIGS[usize::from(tls13)], spoiled.as_ref(), &pieces);
            prop_assert!(plain.len() <= 9000 && plain.iter().all(|byte| *byte == b'x'));
            if spoiled.is_none() {
                prop_assert!(clean && plain.len() >= 3000, "{} bytes", plain.len());
            }
        }
    }
}
