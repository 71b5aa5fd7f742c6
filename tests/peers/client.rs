//! A client of raw bytes: it sends what a test says, in the pieces that the test says.
use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::strict::{self, Message};
use super::{End, text, within};

pub(crate) struct Client {
    stream: TcpStream,
    /// Received, and not taken yet by the test.
    received: Vec<u8>,
    end: Option<End>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = within(|| format!("a connection to {address}"), TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new(), end: None }
    }

    /// Sends all of it. That the other side no longer reads is no failure: its answer tells.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let sent = within(|| format!("{} bytes to be taken", bytes.len()), self.stream.write_all(bytes)).await;
        if let Err(error) = sent {
            assert!(is_gone(error.kind()), "sending failed: {error}");
        }
    }

    /// Sends pieces as segments of their own. Other tasks run between them, so that a reader in the same runtime sees most of
    /// them apart (how the kernel joins what comes fast is its own affair).
    pub(crate) async fn send_pieces<P: AsRef<[u8]>>(&mut self, pieces: impl IntoIterator<Item = P>) {
        for piece in pieces {
            self.send(piece).await;
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// No more will be sent.
    pub(crate) async fn finish(&mut self) {
        if let Err(error) = self.stream.shutdown().await {
            assert!(is_gone(error.kind()), "closing the sending half failed: {error}");
        }
    }

    /// Goes away with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Takes everything up to and with `pattern`.
    pub(crate) async fn until(&mut self, pattern: impl AsRef<[u8]>) -> Vec<u8> {
        let pattern = pattern.as_ref();
        loop {
            if let Some(at) = self.received.windows(pattern.len()).position(|window| window == pattern) {
                return self.received.drain(..at + pattern.len()).collect();
            }
            assert!(self.more().await, "ended ({:?}) before {}; got {}", self.end, text(pattern), text(&self.received));
        }
    }

    /// Takes one whole response to a request of `method`; interim ones (1xx) count as responses.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Message {
        loop {
            let ended = self.end == Some(End::Closed);
            match strict::response(&self.received, method, ended) {
                Ok(Some((message, used))) => {
                    self.received.drain(..used);
                    return message;
                }
                Ok(None) => {}
                Err(fault) => panic!("no response: {fault}; got {}", text(&self.received)),
            }
            let open = self.more().await;
            // an orderly end can be what makes the response whole: one more look
            assert!(
                open || !ended && self.end == Some(End::Closed),
                "no whole response ({:?}); got {}",
                self.end,
                text(&self.received)
            );
        }
    }

    /// Takes one whole response to a GET.
    pub(crate) async fn answer(&mut self) -> Message {
        self.answer_to("GET").await
    }

    /// Takes all that still comes until the other side ends the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.received)
    }

    /// Waits for the end of the connection; nothing may come before it.
    pub(crate) async fn end(&mut self) -> End {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "came before the end: {}", text(&rest));
        self.end.unwrap()
    }

    /// How the other side ended the connection, which it has.
    pub(crate) fn ended(&self) -> End {
        self.end.unwrap()
    }

    /// What has come and is not taken.
    pub(crate) fn untaken(&self) -> &[u8] {
        &self.received
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Reads once; `false` at the end.
    async fn more(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        let received = &mut self.received;
        let before = received.len();
        let read = tokio::time::timeout(super::DEADLINE, self.stream.read_buf(received)).await;
        match read {
            Ok(Ok(0)) => self.end = Some(End::Closed),
            Ok(Ok(_)) => {}
            Ok(Err(error)) if is_gone(error.kind()) => self.end = Some(End::Reset),
            Ok(Err(error)) => panic!("reading failed: {error}"),
            Err(_) => panic!("nothing more came; got {}", text(&self.received[..before])),
        }
        self.end.is_none()
    }
}

/// Sends `bytes` on a connection of its own and takes all that comes back until the other side closes.
pub(crate) async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut client = Client::connect(address).await;
    client.send(bytes).await;
    client.rest().await
}

pub(super) fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected | ErrorKind::ConnectionAborted
    )
}
