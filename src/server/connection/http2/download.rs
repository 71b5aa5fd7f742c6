//! The body of an answer on its way out on its stream.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};

use super::super::pace::Pace;
use super::alarm::{Alarm, due};
use crate::Body;
use crate::net::Clock;
use crate::server::Limits;

/// Bytes that a client has to take within a write time-out to be no slow one (H2-11).
const PROGRESS: usize = 1024;

/// Why the rest of a body is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is sent.
    Complete,
    /// The body broke.
    Failed,
    /// The client reset the stream, or the connection ended.
    Gone,
    /// The client does not take it (H2-11).
    Stalled,
}

/// What is left of a body.
pub(super) struct Download {
    body: Body,
    /// Taken out of the body, and not sent yet.
    next: Next,
    /// The bytes that must still come; `None` when nobody knows.
    left: Option<u64>,
    pace: Pace,
    stall: Stall,
}

/// What is to be sent next.
enum Next {
    Ask,
    Data(Bytes),
    Trailers(http::HeaderMap),
    End,
    /// The body broke, or is not as long as was promised.
    Failed,
}

impl Download {
    /// `length`: the bytes that it must have.
    pub(super) fn new(body: Body, length: Option<u64>) -> Self {
        let next = if body.is_empty() { Next::End } else { Next::Ask };
        Self { body, next, left: length, pace: Pace::default(), stall: Stall::default() }
    }

    /// Whether nothing is to come behind the head.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.next, Next::End)
    }

    /// Whether the body broke, which is known once it was asked.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.next, Next::Failed)
    }

    /// Takes the next piece out of the body, if none is waiting; pending when it has none yet.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while matches!(self.next, Next::Ask) {
            let body = &mut self.body;
            // A panic inside the body is an error of the body (PAN-01).
            let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)));
            self.next = match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Some(Ok(frame)))) => self.take(frame),
                Ok(Poll::Ready(None)) if self.left.is_none_or(|left| left == 0) => Next::End,
                Ok(Poll::Ready(_)) | Err(_) => Next::Failed,
            };
        }
        Poll::Ready(())
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Next {
        match frame.into_data() {
            Ok(data) if data.is_empty() => Next::Ask,
            Ok(data) => {
                if let Some(left) = &mut self.left {
                    let Some(rest) = left.checked_sub(data.len() as u64) else { return Next::Failed };
                    *left = rest;
                }
                Next::Data(data)
            }
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) if self.left.is_none_or(|left| left == 0) => Next::Trailers(trailers),
                Ok(_) => Next::Failed,
                Err(_) => Next::Ask,
            },
        }
    }

    /// Whether it is known that nothing comes behind what was taken.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let may_be = self.left == Some(0) || self.body.is_empty();
        // Trailers could stand behind all of the promised bytes.
        may_be && self.poll_next(cx).is_ready() && self.is_empty()
    }

    /// Sends what is there and what the client takes; ready when nothing more is to be sent.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut SendStream<Bytes>,
        alarm: &Alarm,
        (clock, limits): (&Clock, &Limits),
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        loop {
            if self.poll_next(cx).is_pending() {
                alarm.clear();
                // The client owes nothing now; but when it goes, the body has no reader.
                return stream.poll_reset(cx).map(|_| End::Gone);
            }
            match std::mem::replace(&mut self.next, Next::Ask) {
                Next::Data(data) => {
                    if let Some(end) = ready!(self.poll_send_data(data, stream, alarm, (clock, limits), cx)) {
                        return Poll::Ready(end);
                    }
                }
                Next::Trailers(trailers) => {
                    let sent = stream.send_trailers(trailers);
                    return Poll::Ready(if sent.is_ok() { End::Complete } else { End::Gone });
                }
                Next::End => {
                    let sent = stream.send_data(Bytes::new(), true);
                    return Poll::Ready(if sent.is_ok() { End::Complete } else { End::Gone });
                }
                Next::Failed => {
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(End::Failed);
                }
                Next::Ask => {}
            }
        }
    }

    /// Sends one piece; ready with nothing when all of it is sent and more is to come.
    fn poll_send_data(
        &mut self,
        mut data: Bytes,
        stream: &mut SendStream<Bytes>,
        alarm: &Alarm,
        (clock, limits): (&Clock, &Limits),
        cx: &mut Context<'_>,
    ) -> Poll<Option<End>> {
        loop {
            stream.reserve_capacity(data.len());
            let mut room = stream.capacity();
            if room == 0 {
                match stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(more))) => room = more,
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Some(End::Gone)),
                    Poll::Pending => {
                        let due = due(self.pace.wait(clock), limits.write_timeout).min(self.stall.wait(clock, limits));
                        if clock.ticks() >= due {
                            stream.send_reset(Reason::CANCEL);
                            return Poll::Ready(Some(End::Stalled));
                        }
                        alarm.set(due, cx);
                        self.next = Next::Data(data);
                        return Poll::Pending;
                    }
                }
            }
            let piece = data.split_to(room.min(data.len()));
            let on_time = self.stall.progress(clock, piece.len(), limits.write_timeout)
                && self.pace.progress(clock, piece.len(), limits.write_rate);
            if !on_time {
                stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Some(End::Stalled));
            }
            // The last piece says so itself.
            let is_last = data.is_empty() && self.is_over(cx);
            if stream.send_data(piece, is_last).is_err() {
                return Poll::Ready(Some(End::Gone));
            }
            if is_last || data.is_empty() {
                return Poll::Ready(is_last.then_some(End::Complete));
            }
        }
    }
}

/// A clock for clients that take a few bytes now and then: only so many wind it up again.
#[derive(Debug, Default)]
struct Stall {
    /// Ticks spent waiting since it was wound up.
    waited: u32,
    /// Bytes taken since then.
    bytes: usize,
    since: Option<u32>,
}

impl Stall {
    /// The wait for the client begins, if it has not; tells the tick at which it is over.
    fn wait(&mut self, clock: &Clock, limits: &Limits) -> u32 {
        let since = *self.since.get_or_insert_with(|| clock.ticks());
        due(since, limits.write_timeout).saturating_sub(self.waited)
    }

    /// The client took so many bytes; tells whether it still does so in time.
    fn progress(&mut self, clock: &Clock, bytes: usize, most: Duration) -> bool {
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(clock.ticks().saturating_sub(since));
        }
        let on_time = self.waited == 0 || self.waited < due(0, most);
        self.bytes += bytes;
        if self.bytes >= PROGRESS {
            (self.bytes, self.waited) = (0, 0);
        }
        on_time
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if !self.body.is_empty() {
            let body = std::mem::take(&mut self.body);
            // A panic while a foreign body is dropped must not take the task along.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(body)));
        }
    }
}
