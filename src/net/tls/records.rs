//! Records of either side, in and out.
use bytes::BytesMut;
use rustls::Error;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};

/// A client's connection, or a server's: rustls has a type for each.
pub(super) trait Side {
    type Data;

    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn wants_write(&self) -> bool;
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }

    fn wants_write(&self) -> bool {
        (**self).wants_write()
    }
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }

    fn wants_write(&self) -> bool {
        (**self).wants_write()
    }
}

/// What came out of records.
pub(super) struct Opened<'a> {
    /// Bytes of the records that were taken.
    pub(super) used: usize,
    pub(super) plain: &'a mut BytesMut,
    /// The peer announced the end.
    pub(super) ended: bool,
    /// What is to be said in reply.
    pub(super) reply: Vec<u8>,
}

/// Opens whole records, one after the other.
///
/// What is left of `records` must be in front of the next ones: rustls remembers how far it looked into them, and panics
/// if they are not there.
pub(super) fn open<S: Side>(connection: &mut S, records: &mut [u8], opened: &mut Opened<'_>) -> Result<(), Error> {
    loop {
        let rest = records.get_mut(opened.used..).unwrap_or_default();
        let UnbufferedStatus { discard, state } = connection.process(rest);
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

fn encode<D>(mut message: EncodeTlsData<'_, D>, reply: &mut Vec<u8>) -> Result<(), Error> {
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
pub(super) fn last_words<S: Side>(connection: &mut S, reply: &mut Vec<u8>) {
    while connection.wants_write() {
        let Ok(ConnectionState::EncodeTlsData(message)) = connection.process(&mut []).state else { return };
        if encode(message, reply).is_err() {
            return;
        }
    }
}

/// Encrypts `data` into the front of `sealed`, and tells how much of it that took.
pub(super) fn seal<S: Side>(
    connection: &mut S,
    partial: &mut [u8],
    data: &[u8],
    sealed: &mut Vec<u8>,
) -> Result<usize, Error> {
    // New keys are announced before they are used.
    let mut before = Vec::new();
    loop {
        // All whole records have been taken out of `partial`: nothing is read here.
        match connection.process(partial).state? {
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

fn encrypt<D>(
    traffic: &mut WriteTraffic<'_, D>,
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

/// The message that nothing more comes, into `sealed`; how long it is, or `None` if it cannot be said now.
pub(super) fn goodbye<S: Side>(connection: &mut S, partial: &mut [u8], sealed: &mut [u8]) -> Option<usize> {
    match connection.process(partial).state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.queue_close_notify(sealed).ok(),
        _ => None,
    }
}
