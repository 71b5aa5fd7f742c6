//! Connections that have had one whole exchange, and are held.
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Tls,
    H2c,
    H2,
    WebSocket,
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: clients/1\r\nAccept: */*\r\n\r\n";
const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// On stream 1 `GET / http localhost` (RFC 7541: indexed but for the authority).
const HEADERS: &[u8] = b"\x00\x00\x0e\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\x09localhost";
const SETTINGS_ACK: &[u8] = b"\x00\x00\x00\x04\x01\x00\x00\x00\x00";

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Kind {
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "plain" => Self::Plain,
            "tls" => Self::Tls,
            "h2c" => Self::H2c,
            "h2" => Self::H2,
            "websocket" => Self::WebSocket,
            _ => return None,
        })
    }
}

pub async fn run(kind: Kind, address: &str, count: usize) {
    let connector = tls::connector(if kind == Kind::H2 { b"h2" } else { b"http/1.1" }, false);
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        held.push(open(kind, address, &connector).await.expect("a connection with one whole exchange"));
    }
    println!("HELD {}", held.len());
    let mut rest = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}

async fn open(kind: Kind, address: &str, connector: &TlsConnector) -> io::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    // Closed by a reset, no port is left in TIME_WAIT, and as many can come once more.
    socket.set_zero_linger()?;
    let mut stream: Box<dyn Stream> = match kind {
        Kind::Tls | Kind::H2 => Box::new(connector.connect(tls::name(), socket).await?),
        _ => Box::new(socket),
    };
    match kind {
        Kind::Plain | Kind::Tls => exchange(&mut stream, REQUEST, 1024).await?,
        Kind::WebSocket => exchange(&mut stream, UPGRADE, 0).await?,
        Kind::H2c | Kind::H2 => one_stream(&mut stream).await?,
    }
    Ok(stream)
}

/// Until the head, and so many bytes behind it, are there.
async fn exchange(stream: &mut Box<dyn Stream>, request: &[u8], body: usize) -> io::Result<()> {
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_some_and(|end| answer.len() >= end + 4 + body) {
            return Ok(());
        }
    }
}

/// Until the frame that ends stream 1 is there.
async fn one_stream(stream: &mut Box<dyn Stream>) -> io::Result<()> {
    stream.write_all(&[PREFACE, HEADERS].concat()).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        let (kind, flags) = (head[3], head[4]);
        match kind {
            4 if flags & 1 == 0 => stream.write_all(SETTINGS_ACK).await?,
            0 | 1 if flags & 1 == 1 => return Ok(()),
            3 | 7 => return Err(io::Error::other("the stream was refused")),
            _ => {}
        }
    }
}
