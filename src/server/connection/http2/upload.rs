//! The body of a request while it comes in on its stream.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};

use super::super::pace::Pace;
use super::alarm::{Alarm, Lent, due};
use super::stream::Open;
use crate::BodyError;

/// A request body. What its holder has taken is what the client may send again.
pub(super) struct Upload {
    stream: RecvStream,
    told: Arc<Told>,
    /// Wakes who waits for the client's next bytes.
    alarm: Lent,
    /// A service may read on when it has answered.
    open: Open,
    pace: Pace,
    /// The bytes that were promised and did not come yet.
    left: Option<u64>,
    /// The last bytes of the promise, until it is sure that none comes behind them (H2-05).
    held: Option<Bytes>,
    ended: bool,
}

/// What the body and its stream tell each other.
#[derive(Debug)]
pub(super) struct Told {
    /// The client was too slow (LIM-07).
    slow: AtomicBool,
    /// An answer is under way, so that a client that waits is not slow.
    answered: AtomicBool,
    /// Where the `100` is, as one of the constants below.
    interim: AtomicU8,
    /// Wakes the task of the stream.
    owner: Arc<Alarm>,
}

const NOBODY_WAITS: u8 = 0;
const CLIENT_WAITS: u8 = 1;
const TO_BE_SENT: u8 = 2;

impl Told {
    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Relaxed)
    }

    pub(super) fn set_answered(&self) {
        self.answered.store(true, Relaxed);
    }

    /// Whether the `100` is to be sent now; once.
    pub(super) fn take_interim(&self) -> bool {
        self.interim.compare_exchange(TO_BE_SENT, NOBODY_WAITS, Relaxed, Relaxed).is_ok()
    }
}

/// What is known of a body in advance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) length: Option<u64>,
    /// The client waits for a `100`.
    pub(super) waits: bool,
    /// The messages of a gRPC call come when they come; LIM-13 bounds the wait for the first answer.
    pub(super) is_call: bool,
}

impl Upload {
    pub(super) fn new(
        stream: RecvStream,
        open: Open,
        alarm: Lent,
        owner: Arc<Alarm>,
        announced: Announced,
    ) -> (Self, Arc<Told>) {
        let told = Arc::new(Told {
            slow: AtomicBool::new(false),
            answered: AtomicBool::new(announced.is_call),
            interim: AtomicU8::new(if announced.waits { CLIENT_WAITS } else { NOBODY_WAITS }),
            owner,
        });
        let upload = Self {
            stream,
            told: Arc::clone(&told),
            alarm,
            open,
            pace: Pace::default(),
            left: announced.length,
            held: None,
            ended: false,
        };
        (upload, told)
    }

    /// The next bytes; `None` behind the last.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let Poll::Ready(next) = self.stream.poll_data(cx) else { return self.wait(cx).map(Some) };
            let Some(data) = next else {
                return Poll::Ready(self.held.take().map(Ok));
            };
            // The client reset the stream, or sent another length than it had promised.
            let Ok(data) = data else { return Poll::Ready(Some(Err(BodyError::Incomplete))) };
            // It was taken in full: an error means that the stream is gone, which the next read tells.
            let _ = self.stream.flow_control().release_capacity(data.len());
            if !self.pace.progress(self.open.client.io().clock(), data.len(), self.open.client.limits().body_rate)
                && !self.told.answered.load(Relaxed)
            {
                return Poll::Ready(Some(Err(self.slow())));
            }
            if data.is_empty() {
                continue;
            }
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(data.len() as u64);
                if *left == 0 && !self.stream.is_end_stream() {
                    self.held = Some(data);
                    continue;
                }
            }
            return Poll::Ready(Some(Ok(data)));
        }
    }

    /// Nothing is there: has the client told that we wait, and looks how long it lets us.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BodyError>> {
        if self.told.interim.compare_exchange(CLIENT_WAITS, TO_BE_SENT, Relaxed, Relaxed).is_ok() {
            // Whoever polls may be another task than the one that writes.
            self.told.owner.ring();
        }
        if self.told.answered.load(Relaxed) {
            return Poll::Pending;
        }
        let clock = self.open.client.io().clock();
        let due = due(self.pace.wait(clock), self.open.client.limits().body_timeout);
        if clock.ticks() >= due {
            return Poll::Ready(Err(self.slow()));
        }
        self.alarm.set(due, cx);
        Poll::Pending
    }

    fn slow(&mut self) -> BodyError {
        self.told.slow.store(true, Relaxed);
        BodyError::Timeout
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = &mut *self;
        if me.ended {
            return Poll::Ready(None);
        }
        if let Some(data) = ready!(me.poll_data(cx)) {
            me.ended = data.is_err();
            return Poll::Ready(Some(data.map(Frame::data)));
        }
        me.alarm.clear();
        let trailers = ready!(me.stream.poll_trailers(cx));
        me.ended = true;
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(_) => Some(Err(BodyError::Incomplete)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.held.is_none() && self.stream.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |held| held.len() as u64);
        self.left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + held))
    }
}
