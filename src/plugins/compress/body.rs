//! A body on its way through an encoder.
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tokio::task::JoinHandle;

use super::engine::{Begun, Done, Engine, Order};
use crate::{Body, BodyError};

/// After so many steps without a piece others have their turn.
const STEPS: usize = 8;

/// The encoded form of a body. It holds the piece of the body that is being encoded, one piece that comes out, and the encoder.
pub(super) struct Compressed {
    inner: Body,
    /// What the body gave and was not encoded yet.
    rest: Bytes,
    place: Place,
    state: State,
    trailers: Option<HeaderMap>,
}

/// Where the encoder is.
enum Place {
    Here(Engine),
    /// At work on another thread.
    Away(JoinHandle<Done>),
    /// Nothing is left but what it made last.
    Ended(Option<Bytes>),
}

/// What the encoder is to do.
#[derive(Clone, Copy)]
enum State {
    Encode {
        /// It may hold something back.
        unflushed: bool,
    },
    Flush,
    Finish,
}

/// What follows a step.
enum Step {
    /// Another one.
    On,
    /// What came out is not to wait for more.
    Out,
}

impl Compressed {
    pub(super) fn new(inner: Body, begun: Begun) -> Self {
        let place = Place::Here(Engine::new(begun));
        Self { inner, rest: Bytes::new(), place, state: State::Encode { unflushed: false }, trailers: None }
    }

    /// What is to be done next; `None` where that was to look what there is of the body.
    fn order(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Order>, BodyError>> {
        let State::Encode { unflushed } = self.state else {
            let order = if matches!(self.state, State::Flush) { Order::Flush } else { Order::Finish };
            return Poll::Ready(Ok(Some(order)));
        };
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(Some(Order::Encode)));
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(frame)) => match frame?.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    self.state = State::Finish;
                }
            },
            Poll::Ready(None) => self.state = State::Finish,
            // The upstream pauses: what it sent is not held back any longer.
            Poll::Pending if unflushed => self.state = State::Flush,
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(None))
    }

    /// One step.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, BodyError>> {
        if matches!(self.place, Place::Away(_)) {
            return self.take_back(cx);
        }
        let Some(order) = ready!(self.order(cx))? else { return Poll::Ready(Ok(Step::On)) };
        match std::mem::replace(&mut self.place, Place::Ended(None)) {
            Place::Here(mut engine) => match engine.elsewhere() {
                None => {
                    let done = engine.work(order, &mut self.rest);
                    self.place = Place::Here(engine);
                    Poll::Ready(self.after(done))
                }
                Some(runtime) => {
                    self.place = Place::Away(engine.beside(&runtime, order, std::mem::take(&mut self.rest)));
                    self.take_back(cx)
                }
            },
            other => {
                self.place = other;
                Poll::Ready(Ok(Step::On))
            }
        }
    }

    /// Waits for the encoder to come back.
    fn take_back(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, BodyError>> {
        let Place::Away(work) = &mut self.place else { return Poll::Ready(Ok(Step::On)) };
        let Done { engine, rest, done } =
            ready!(Pin::new(work).poll(cx)).map_err(|lost| BodyError::Other(lost.into()))?;
        (self.place, self.rest) = (Place::Here(engine), rest);
        Poll::Ready(self.after(done))
    }

    /// What follows of what the encoder has done.
    fn after(&mut self, done: io::Result<bool>) -> Result<Step, BodyError> {
        let done = done.map_err(|error| BodyError::Other(error.into()))?;
        match self.state {
            State::Encode { .. } => self.state = State::Encode { unflushed: true },
            State::Flush if done => {
                self.state = State::Encode { unflushed: false };
                return Ok(Step::Out);
            }
            State::Finish if done => {
                let last = self.take_piece();
                self.place = Place::Ended(last);
            }
            State::Flush | State::Finish => {}
        }
        Ok(Step::On)
    }

    fn take_piece(&mut self) -> Option<Bytes> {
        match &mut self.place {
            Place::Here(engine) => engine.take_piece(),
            _ => None,
        }
    }
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        for _ in 0..STEPS {
            let step = match &mut me.place {
                Place::Ended(last) => {
                    let last = last.take().map(Frame::data).or_else(|| me.trailers.take().map(Frame::trailers));
                    return Poll::Ready(last.map(Ok));
                }
                Place::Here(engine) if engine.is_full() => Ok(Step::Out),
                Place::Here(_) | Place::Away(_) => ready!(me.step(cx)),
            };
            match step {
                Ok(Step::On) => {}
                Ok(Step::Out) => {
                    if let Some(piece) = me.take_piece() {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                Err(error) => {
                    (me.place, me.trailers) = (Place::Ended(None), None);
                    me.inner = Body::empty();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        // A body that is at hand never pauses; others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.place, Place::Ended(None)) && self.trailers.is_none()
    }
}
