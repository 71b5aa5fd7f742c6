//! One HTTP/2 connection, and the task that drives it.
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep};

use crate::net::{Gather, Io, IoStream};

/// The list of field lines of a response, each with 32 bytes on top (RFC 9113 §6.5.2; security.md UP-02).
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Bytes of one response that may wait for its client. No acknowledgement of less than this is waited for on the way.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of all responses on one connection: what waits for slow clients takes nothing away from the others.
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
/// Bytes of one request that may wait for the connection.
const SEND_BUFFER: usize = 64 * 1024;
/// A connection with streams is asked for a sign of life so often.
const PING_EVERY: Duration = Duration::from_secs(30);
/// And is over when none comes within this.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection. Its task ends with it, and the connection with the task.
#[derive(Debug)]
pub(super) struct Link {
    sender: SendRequest<Bytes>,
    state: Arc<State>,
    task: AbortHandle,
}

/// What the task finds out.
#[derive(Debug, Default)]
struct State {
    /// Streams that the peer allows; 0 until it has said how many.
    allowed: AtomicUsize,
    /// Streams on it.
    streams: AtomicUsize,
    /// It takes no more streams.
    over: AtomicBool,
    /// Told when either changes.
    changed: Notify,
}

impl Link {
    /// Begins HTTP/2 and waits until the peer has said how many streams it takes: from then on it is known to speak it.
    pub(super) async fn begin(io: Arc<Io>) -> Result<Self, h2::Error> {
        let (sender, connection) = h2::client::Builder::new()
            .initial_max_send_streams(0)
            .enable_push(false)
            .max_header_list_size(MAX_HEADER_LIST)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .handshake(IoStream(io))
            .await?;
        let state = Arc::new(State::default());
        let driver = drive(connection, sender.clone(), Arc::clone(&state));
        let link = Self { sender, task: tokio::spawn(driver).abort_handle(), state };
        link.settled().await?;
        Ok(link)
    }

    async fn settled(&self) -> Result<(), h2::Error> {
        loop {
            let changed = self.state.changed.notified();
            if self.allowed() > 0 {
                return Ok(());
            }
            if !self.is_open() {
                return Err(h2::Reason::PROTOCOL_ERROR.into());
            }
            changed.await;
        }
    }

    /// Streams on it.
    pub(super) fn streams(&self) -> &AtomicUsize {
        &self.state.streams
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.sender.clone()
    }

    /// Streams that the peer allows at once.
    pub(super) fn allowed(&self) -> usize {
        self.state.allowed.load(Relaxed)
    }

    /// Whether it takes more streams.
    pub(super) fn is_open(&self) -> bool {
        !self.state.over.load(Relaxed)
    }

    /// Nobody gets another stream on it.
    pub(super) fn give_up(&self) {
        self.state.over.store(true, Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a connection to its end.
async fn drive(mut connection: Connection<IoStream, Bytes>, mut sender: SendRequest<Bytes>, state: Arc<State>) {
    let mut life = connection.ping_pong().map(Life::new);
    let mut connection = pin!(connection);
    let (mut allowed, mut gather) = (0, Gather::default());
    let mut work = |cx: &mut Context<'_>| {
        // An error here is an error of each stream as well, and is told there.
        let mut over = connection.as_mut().poll(cx).is_ready();
        let now = connection.max_concurrent_send_streams();
        if now != allowed {
            allowed = now;
            state.allowed.store(now, Relaxed);
            state.changed.notify_waiters();
        }
        if let Some(life) = &mut life {
            over |= life.poll(cx, state.streams.load(Relaxed) > 0).is_ready();
        }
        // After a GOAWAY the connection runs on for the streams it has.
        let refuses = over || matches!(sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)));
        if refuses && !state.over.swap(true, Relaxed) {
            state.changed.notify_waiters();
        }
        if over { Poll::Ready(()) } else { Poll::Pending }
    };
    std::future::poll_fn(|cx| gather.poll(cx, &mut work)).await;
}

/// Asks the peer for signs of life.
struct Life {
    pings: PingPong,
    clock: Pin<Box<Sleep>>,
    asked: bool,
}

impl Life {
    fn new(pings: PingPong) -> Self {
        Self { pings, clock: Box::pin(sleep(PING_EVERY)), asked: false }
    }

    /// Ready when the peer is gone.
    fn poll(&mut self, cx: &mut Context<'_>, busy: bool) -> Poll<()> {
        loop {
            if self.asked {
                match self.pings.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => self.wait(false, PING_EVERY),
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            if self.clock.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.asked {
                return Poll::Ready(());
            }
            let asked = busy && self.pings.send_ping(Ping::opaque()).is_ok();
            self.wait(asked, if asked { PING_TIMEOUT } else { PING_EVERY });
        }
    }

    fn wait(&mut self, asked: bool, time: Duration) {
        self.asked = asked;
        self.clock.as_mut().reset(Instant::now() + time);
    }
}
