//! A request body on its way out on a stream.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http_body::Body as HttpBody;

use crate::{Body, BodyError};

/// Sends a body as far as the client brings it and the peer's window allows.
#[derive(Debug)]
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: Body,
    /// What the window has no room for yet.
    waiting: Bytes,
    /// Frames that were taken of the body, and pieces that the peer took.
    steps: u64,
    taken: bool,
    hungry: bool,
    /// Told of `hungry`, for who waits for the response elsewhere.
    tell: Option<Arc<AtomicBool>>,
}

/// Why a body was not sent to its end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The client did not bring it.
    Body(BodyError),
    /// The peer does not want it, or the connection is over. Why is told by the response.
    Peer,
}

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self { stream, body, waiting: Bytes::new(), steps: 0, taken: false, hungry: false, tell: None }
    }

    /// Grows with each piece that moves.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether it waits for the client.
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry
    }

    /// The body, if nothing was taken of it.
    pub(super) fn into_untouched(self) -> Option<Body> {
        (!self.taken).then_some(self.body)
    }

    /// Goes on; ready when the body is sent to its end or never will be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        loop {
            if !self.waiting.is_empty() && ready!(self.poll_send(cx))? {
                return Poll::Ready(Ok(()));
            }
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    self.set_hungry(true);
                    // Whoever waits for the client hears of it when the peer wants no more.
                    return match self.stream.poll_reset(cx) {
                        Poll::Ready(_) => Poll::Ready(Err(Stopped::Peer)),
                        Poll::Pending => Poll::Pending,
                    };
                }
            };
            self.set_hungry(false);
            self.taken = true;
            self.steps += 1;
            match frame {
                None => return Poll::Ready(self.end()),
                Some(Err(error)) => {
                    // The peer must not take what it has for the whole (security.md H1-18).
                    self.stream.send_reset(h2::Reason::CANCEL);
                    return Poll::Ready(Err(Stopped::Body(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.waiting = data,
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            let sent = self.stream.send_trailers(trailers);
                            return Poll::Ready(sent.map_err(|_| Stopped::Peer));
                        }
                    }
                },
            }
        }
    }

    /// Sends what waits; `true` when that was the end of the body.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Stopped>> {
        while !self.waiting.is_empty() {
            self.stream.reserve_capacity(self.waiting.len());
            let room = match self.stream.capacity() {
                0 => match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(_)) | None => return Poll::Ready(Err(Stopped::Peer)),
                },
                room => room,
            };
            let piece = self.waiting.split_to(room.min(self.waiting.len()));
            let last = self.waiting.is_empty() && self.body.is_end_stream();
            self.steps += 1;
            self.stream.send_data(piece, last).map_err(|_| Stopped::Peer)?;
            if last {
                return Poll::Ready(Ok(true));
            }
        }
        Poll::Ready(Ok(false))
    }

    fn end(&mut self) -> Result<(), Stopped> {
        self.stream.send_data(Bytes::new(), true).map_err(|_| Stopped::Peer)
    }

    fn set_hungry(&mut self, hungry: bool) {
        self.hungry = hungry;
        if let Some(tell) = &self.tell {
            tell.store(hungry, Relaxed);
        }
    }

    /// Goes on to the end; `hungry` says meanwhile whether it waits for the client.
    pub(super) async fn run(mut self, hungry: Arc<AtomicBool>) {
        self.tell = Some(hungry);
        // How it ends is told by the response's body.
        let _ = std::future::poll_fn(|cx| self.poll(cx)).await;
    }
}
