//! A client that sends frames as it is told, and reads what comes back (RFC 9113 §4.1).
#![allow(dead_code, reason = "each test uses some")]
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any time-out here; with a clock of its own a test waits for nothing.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(200);

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
/// Both.
pub(crate) const WHOLE: u8 = END_STREAM | END_HEADERS;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a reset or a goodbye.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The highest stream of a goodbye.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    /// The status, which stands first in a block of fields.
    pub(crate) fn status(&self) -> u16 {
        match self.payload[0] {
            indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
            // A value of its own: three digits, or their Huffman codes.
            0x48 | 0x08 | 0x18 if self.payload[1] == 3 => {
                std::str::from_utf8(&self.payload[2..5]).unwrap().parse().unwrap()
            }
            0x48 | 0x08 | 0x18 => digits(&self.payload[2..2 + usize::from(self.payload[1] & 0x7f)]),
            other => panic!("a status that begins with {other:#x}"),
        }
    }
}

/// Three digits in the code of HPACK: 0 to 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> u16 {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1)));
    let mut take = |count: usize| bits.by_ref().take(count).fold(0, |all, bit| all << 1 | bit);
    let mut number = 0;
    for _ in 0..3 {
        let five = take(5);
        let digit = if five < 3 { five } else { (five << 1 | take(1)) - 0b01_1001 + 3 };
        number = number * 10 + digit;
    }
    number
}

/// A frame in bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field that is not remembered, in bytes.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        match u8::try_from(text.len()) {
            Ok(short) if short < 127 => bytes.push(short),
            _ => {
                // A number that goes on behind its seven bits.
                let mut rest = text.len() - 127;
                bytes.push(127);
                while rest >= 128 {
                    bytes.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                bytes.push(rest as u8);
            }
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The head of a request to `h`, in bytes.
pub(crate) fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "h")];
    pseudo.iter().chain(fields).flat_map(|(name, value)| field(name, value)).collect()
}

/// `GET /` as a whole request, in bytes.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &head("GET", "/", &[]))
}

/// What frames go over.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

pub(crate) struct Raw {
    stream: Box<dyn Socket>,
    seen: Vec<u8>,
    /// Whether `PING` and `SETTINGS` are answered.
    pub(crate) polite: bool,
}

impl Raw {
    /// A connection over which both sides have said how they are set.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[]).await
    }

    /// The same with settings: pairs of a name and a value (RFC 9113 §6.5.2).
    pub(crate) async fn with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        // A clock that runs ahead waits for no acknowledgement.
        stream.set_nodelay(true).unwrap();
        Self::over(Box::new(stream), settings).await
    }

    /// The same over something else.
    pub(crate) async fn over(stream: Box<dyn Socket>, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self { stream, seen: Vec::new(), polite: true };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        raw.send([PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()).await;
        raw.stream.flush().await.unwrap();
        let first = raw.next().await.unwrap();
        assert_eq!((first.kind, first.flags), (SETTINGS, 0));
        raw
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends as long as the server takes it; false once it does not.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = tokio::time::timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await;
        matches!(sent, Ok(Ok(())))
    }

    /// The next frame; `None` when the connection is over.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.parse() {
                let ack = match frame.kind {
                    SETTINGS if frame.flags & ACK == 0 => self::frame(SETTINGS, ACK, 0, &[]),
                    PING if frame.flags & ACK == 0 => self::frame(PING, ACK, 0, &frame.payload),
                    _ => Vec::new(),
                };
                if self.polite && !ack.is_empty() {
                    let _ = self.stream.write_all(&ack).await;
                    let _ = self.stream.flush().await;
                }
                return Some(frame);
            }
            let mut room = [0; 16 * 1024];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut room)).await.unwrap();
            match read {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.seen.extend_from_slice(&room[..count]),
            }
        }
    }

    fn parse(&mut self) -> Option<Frame> {
        let [a, b, c, kind, flags, stream @ ..] = *self.seen.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if self.seen.len() < 9 + length {
            return None;
        }
        let payload = self.seen[9..9 + length].to_vec();
        self.seen.drain(..9 + length);
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Reads over frames up to one that fits; `None` when the connection ended before.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if fits(&frame) {
                return Some(frame);
            }
        }
    }

    /// The status of the answer on a stream; `None` when it was reset or the connection ended.
    pub(crate) async fn status(&mut self, stream: u32) -> Option<u16> {
        let frame = self.until(|frame| frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM)).await?;
        (frame.kind == HEADERS).then(|| frame.status())
    }

    /// The code of the goodbye; `None` when the connection ended without one.
    pub(crate) async fn goodbye(&mut self) -> Option<u32> {
        self.until(|frame| frame.kind == GOAWAY).await.map(|frame| frame.code())
    }

    /// Whether a request is served, behind all that was sent.
    pub(crate) async fn serves(&mut self, stream: u32) -> bool {
        self.try_send(get(stream)).await && self.status(stream).await == Some(200)
    }
}
