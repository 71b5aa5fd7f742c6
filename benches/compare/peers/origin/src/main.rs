//! The origin behind every proxy of the comparison: one thread, HTTP/1.1 with keep-alive and pipelining, answers that
//! are ready beforehand, so that its share of a request is small and steady.
//!
//! `/size/N`, `/size/Nk` and `/size/Nm` answer with so many bytes, kibibytes, mebibytes; every other target with 1 KiB.
//! Requests carry no body.
//!
//! Usage: `compare-origin ADDRESS`. With `SPIN=1` it never sleeps: then the processor of the load is never idle, and no
//! proxy is billed for waking it (a wake-up across processors is dear in a virtual machine).
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
const BACKLOG: i32 = 8192;
/// Bodies up to this size go out together with their head.
const SMALL: usize = 16 << 10;
static FILLER: [u8; 1 << 20] = [b'x'; 1 << 20];

struct Connection {
    stream: TcpStream,
    /// Bytes of requests that are not complete yet.
    unread: Vec<u8>,
    /// Heads, and small bodies behind them; `sent` of it is gone.
    answers: Vec<u8>,
    sent: usize,
    /// Bytes of a large body that follow `answers`; later requests wait for it.
    large: usize,
    closing: bool,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new(), answers: Vec::new(), sent: 0, large: 0, closing: false }
    }

    /// One turn after an event: what came in is read, answered and sent. `Ok(false)`: the connection is done.
    fn turn(&mut self, chunk: &mut [u8]) -> io::Result<bool> {
        let open = self.read(chunk)?;
        loop {
            self.answer();
            if self.answers.is_empty() && self.large == 0 {
                return Ok(open && !self.closing);
            }
            if !self.send()? {
                return Ok(open);
            }
        }
    }

    fn read(&mut self, chunk: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(chunk) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.unread.extend_from_slice(&chunk[..count]);
                    // a short read has emptied the socket: the next byte is a new event
                    if count < chunk.len() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// Turns complete heads into answers, up to the first large one.
    fn answer(&mut self) {
        let mut used = 0;
        while self.large == 0 && !self.closing {
            let Some(end) = head_end(&self.unread[used..]) else { break };
            let head = &self.unread[used..used + end];
            used += end;
            self.closing = asks_close(head);
            let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or(b"/");
            let size = target.strip_prefix(b"/size/").map_or(1024, size);
            let connection = if self.closing { "Connection: close\r\n" } else { "" };
            let _ = write!(
                self.answers,
                "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n{connection}\r\n"
            );
            if size <= SMALL { self.answers.extend_from_slice(&FILLER[..size]) } else { self.large = size }
        }
        self.unread.drain(..used);
    }

    /// `Ok(true)`: all is gone; `Ok(false)`: the socket is full, an event will tell when to go on.
    fn send(&mut self) -> io::Result<bool> {
        loop {
            let small = self.sent < self.answers.len();
            let bytes = if small { &self.answers[self.sent..] } else { &FILLER[..self.large.min(FILLER.len())] };
            if bytes.is_empty() {
                self.answers.clear();
                self.sent = 0;
                return Ok(true);
            }
            match self.stream.write(bytes) {
                Ok(count) if small => self.sent += count,
                Ok(count) => self.large -= count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

fn asks_close(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii().eq_ignore_ascii_case(b"connection: close"))
}

/// `100k` → 102,400; at most 1 GiB.
fn size(text: &[u8]) -> usize {
    let mut size = 0_usize;
    for byte in text {
        size = match byte {
            b'0'..=b'9' => size.saturating_mul(10).saturating_add(usize::from(byte - b'0')),
            b'k' => size.saturating_mul(1 << 10),
            b'm' => size.saturating_mul(1 << 20),
            _ => break,
        };
    }
    size.min(1 << 30)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: compare-origin ADDRESS")?.parse()?;
    let spin = std::env::var("SPIN").is_ok_and(|value| value == "1");
    let mut listener = listen(address)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections = HashMap::new();
    let mut chunk = vec![0; 64 << 10];
    let mut last = LISTENER;
    loop {
        match poll.poll(&mut events, spin.then_some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        if spin && events.is_empty() {
            std::thread::yield_now();
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    last = Token(last.0 + 1);
                    poll.registry().register(&mut stream, last, Interest::READABLE | Interest::WRITABLE)?;
                    connections.insert(last, Connection::new(stream));
                }
            } else if let Some(connection) = connections.get_mut(&event.token())
                && !connection.turn(&mut chunk).unwrap_or(false)
            {
                connections.remove(&event.token());
            }
        }
    }
}
