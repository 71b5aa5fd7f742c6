//! The body of a request while it comes in.
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};

use super::pace::Pace;
use crate::BodyError;
use crate::http1::{Decoded, Decoder};
use crate::net::{Io, Late, Room, TICK};
use crate::server::Limits;

/// What the client is told before it sends a body that it announced (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request body that is read from the socket as it is polled: nothing is read ahead.
pub(super) struct Incoming {
    io: Arc<Io>,
    limits: Arc<Limits>,
    slot: Slot,
}

/// What the body and its connection share.
#[derive(Clone)]
pub(super) struct Slot(Arc<Mutex<Shared>>);

pub(super) struct Shared {
    pub(super) decoder: Decoder,
    /// Input that is not decoded yet; what is left at the end belongs to the connection.
    pub(super) carry: Bytes,
    pub(super) progress: Progress,
    /// What is still to be written of a `100`.
    owed: &'static [u8],
    pace: Pace,
    /// Tick at which the whole request is late.
    deadline: u32,
    connection: Option<Waker>,
}

/// How far a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Somebody holds it.
    Held,
    /// It was read to its end.
    Complete,
    /// It was dropped before its end.
    Dropped,
    /// It broke.
    Failed(Failure),
    /// The connection took it away.
    Revoked,
}

/// Why a request body broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Framing: 400.
    Malformed,
    /// Too slow: 408.
    Slow,
    /// The whole request took too long: 504.
    Deadline,
    /// The client went away.
    Gone,
}

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Has the connection woken when the holder is through with the body.
    pub(super) fn watch(&mut self, cx: &Context<'_>) {
        match &mut self.connection {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// A response begins: no `100` any more. Tells whether the client waits for one, and so may or may not send the body.
    pub(super) fn silence(&mut self) -> bool {
        !std::mem::take(&mut self.owed).is_empty()
    }

    /// Whether the holder waits for the client's next bytes; then the deadline on the socket is theirs.
    pub(super) fn is_waiting(&self) -> bool {
        self.progress == Progress::Held && self.pace.is_waiting()
    }

    /// Whether a `100` is still to be written, so that nothing else may begin.
    pub(super) fn owes_continue(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Takes the body away from its holder.
    pub(super) fn revoke(&mut self) {
        if self.progress == Progress::Held {
            self.progress = Progress::Revoked;
        }
    }

    fn settle(&mut self, progress: Progress) {
        self.progress = progress;
        if let Some(connection) = self.connection.take() {
            connection.wake();
        }
    }
}

impl Incoming {
    /// A body that begins with `carry`; `deadline` is the tick at which the request is late.
    pub(super) fn new(
        io: Arc<Io>,
        limits: Arc<Limits>,
        decoder: Decoder,
        carry: Bytes,
        expect_continue: bool,
        deadline: u32,
    ) -> (Self, Slot) {
        // A client that has sent some of the body does not wait for the word.
        let owed = if expect_continue && carry.is_empty() { CONTINUE } else { &[] };
        let slot = Slot(Arc::new(Mutex::new(Shared {
            decoder,
            carry,
            progress: Progress::Held,
            owed,
            pace: Pace::default(),
            deadline,
            connection: None,
        })));
        (Self { io, limits, slot: slot.clone() }, slot)
    }

    fn poll(&self, shared: &mut Shared, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        while !shared.owed.is_empty() {
            let written = ready!(self.io.poll_write(cx, shared.owed, &[])).map_err(|_| Failure::Gone)?;
            shared.owed.advance(written);
        }
        loop {
            match shared.decoder.next(&mut shared.carry).map_err(|_| Failure::Malformed)? {
                Decoded::Data(data) => return Poll::Ready(Ok(Some(data))),
                Decoded::Done => return Poll::Ready(Ok(None)),
                Decoded::Trailers(_) => {}
                Decoded::More => {}
            }
            if !shared.carry.is_empty() {
                continue;
            }
            let clock = self.io.clock();
            let read = match self.io.poll_read(cx, Room::Body) {
                Poll::Pending => {
                    shared.pace.wait(clock);
                    let left = TICK * shared.deadline.saturating_sub(clock.ticks());
                    self.io.arm(self.limits.body_timeout.min(left), Late::Read);
                    return Poll::Pending;
                }
                Poll::Ready(read) => read.map_err(|_| Failure::Gone)?,
            };
            if read.is_empty() {
                let late = self.io.is_late();
                return Poll::Ready(Err(match late && clock.ticks() >= shared.deadline {
                    true => Failure::Deadline,
                    false if late => Failure::Slow,
                    false => Failure::Gone,
                }));
            }
            if !shared.pace.progress(clock, read.len(), self.limits.body_rate) {
                return Poll::Ready(Err(Failure::Slow));
            }
            shared.carry = read;
        }
    }

    /// From here on only the whole request's deadline counts.
    fn rest(&self, deadline: u32) {
        self.io.arm(TICK * deadline.saturating_sub(self.io.clock().ticks()), Late::Read);
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut shared = self.slot.lock();
        match shared.progress {
            Progress::Complete => return Poll::Ready(None),
            Progress::Failed(failure) => return Poll::Ready(Some(Err(failure.into()))),
            Progress::Dropped | Progress::Revoked => return Poll::Ready(Some(Err(BodyError::Incomplete))),
            Progress::Held => {}
        }
        let polled = ready!(self.poll(&mut shared, cx));
        if shared.decoder.is_done() {
            self.rest(shared.deadline);
            shared.settle(Progress::Complete);
        }
        Poll::Ready(match polled {
            Ok(data) => data.map(|data| Ok(Frame::data(data))),
            Err(failure) => {
                shared.settle(Progress::Failed(failure));
                Some(Err(failure.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.slot.lock().progress == Progress::Complete
    }

    fn size_hint(&self) -> SizeHint {
        self.slot.lock().decoder.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut shared = self.slot.lock();
        if shared.progress == Progress::Held {
            shared.settle(Progress::Dropped);
        }
    }
}

impl From<Failure> for BodyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Malformed => Self::Malformed("chunked coding of the request body"),
            Failure::Slow | Failure::Deadline => Self::Timeout,
            Failure::Gone => Self::Incomplete,
        }
    }
}
