//! The body of an answer on its way out on its stream.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};

use super::alarm::Alarm;
use super::stream::Streams;
use super::window::{Shut, Window};
use crate::Body;

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
    window: Window,
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
        Self { body, next, left: length, window: Window::default() }
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
        streams: &Streams,
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
                    if let Some(end) = ready!(self.poll_send_data(data, stream, alarm, streams, cx)) {
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
        streams: &Streams,
        cx: &mut Context<'_>,
    ) -> Poll<Option<End>> {
        loop {
            let piece = match self.window.poll_room(data.len(), stream, alarm, streams, cx) {
                Poll::Ready(Ok(room)) => data.split_to(room),
                Poll::Ready(Err(Shut::Gone)) => return Poll::Ready(Some(End::Gone)),
                Poll::Ready(Err(Shut::Stalled)) => return Poll::Ready(Some(End::Stalled)),
                Poll::Pending => {
                    self.next = Next::Data(data);
                    return Poll::Pending;
                }
            };
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

impl Drop for Download {
    fn drop(&mut self) {
        if !self.body.is_empty() {
            let body = std::mem::take(&mut self.body);
            // A panic while a foreign body is dropped must not take the task along.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(body)));
        }
    }
}
