//! Handshakes, one after the other on each of a few connections.
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::HandshakeKind;

use crate::tls;

const CONNECTIONS: usize = 8;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[derive(Default)]
struct Seen {
    resumed: usize,
    errors: usize,
    times: Vec<u128>,
}

pub async fn run(address: &str, resumed: bool, seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    let seen = Rc::new(RefCell::new(Seen::default()));
    let tasks = LocalSet::new();
    for _ in 0..CONNECTIONS {
        let (seen, address) = (seen.clone(), address.to_owned());
        tasks.spawn_local(async move {
            let connector = tls::connector(b"http/1.1", resumed);
            while Instant::now() < until {
                let start = Instant::now();
                let made = once(&connector, &address).await;
                let mut seen = seen.borrow_mut();
                match made {
                    Ok(kind) => {
                        seen.times.push(start.elapsed().as_micros());
                        seen.resumed += usize::from(kind == Some(HandshakeKind::Resumed));
                    }
                    Err(_) => seen.errors += 1,
                }
            }
        });
    }
    tasks.await;
    let mut seen = seen.borrow_mut();
    seen.times.sort_unstable();
    let at = |percent: usize| seen.times.get(seen.times.len() * percent / 100).copied().unwrap_or_default();
    println!("REPORT {} {} {} {} {}", seen.times.len(), seen.resumed, seen.errors, at(50), at(99));
}

/// A handshake and one exchange, which also brings the tickets.
async fn once(connector: &TlsConnector, address: &str) -> io::Result<Option<HandshakeKind>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    // A reset at once instead of a port in TIME_WAIT.
    socket.set_zero_linger()?;
    let mut stream = connector.connect(tls::name(), socket).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = [0; 4096];
    let mut length = 0;
    loop {
        let read = stream.read(&mut answer).await?;
        if read == 0 {
            break;
        }
        length += read;
    }
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(stream.get_ref().1.handshake_kind())
}
