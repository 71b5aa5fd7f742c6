//! A body on its way through an encoder.
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use super::coding::Encode;
use super::memory::Part;
use crate::{Body, BodyError};

/// What comes out goes on in pieces of at most so many bytes.
const PIECE: usize = 16 * 1024;

/// Bytes that go into the encoder at a time.
const STEP: usize = 16 * 1024;

/// After so many steps without a piece others have their turn.
const STEPS: usize = 8;

/// The encoded form of a body. It holds the piece of the body that is being encoded, one piece that comes out, and the encoder.
pub(super) struct Compressed {
    inner: Body,
    /// What the body gave and was not encoded yet.
    rest: Bytes,
    /// `None` once its end is out.
    encoder: Option<Running>,
    state: State,
    /// What came out and has not gone on, so many bytes of it.
    piece: Box<[u8]>,
    made: usize,
    trailers: Option<HeaderMap>,
}

struct Running {
    encoder: Box<dyn Encode>,
    _memory: Part,
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

impl Compressed {
    pub(super) fn new(inner: Body, encoder: Box<dyn Encode>, memory: Part) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            encoder: Some(Running { encoder, _memory: memory }),
            state: State::Encode { unflushed: false },
            piece: vec![0; PIECE].into(),
            made: 0,
            trailers: None,
        }
    }

    /// Has the encoder write behind what is there.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Encode, &mut WriteBuffer<'_>) -> io::Result<T>,
    ) -> Result<T, BodyError> {
        let failed = |error: io::Error| BodyError::Other(error.into());
        let running = self.encoder.as_mut().ok_or_else(|| failed(io::ErrorKind::WriteZero.into()))?;
        let mut room = WriteBuffer::new_initialized(self.piece.get_mut(self.made..).unwrap_or_default());
        let done = work(&mut *running.encoder, &mut room).map_err(failed)?;
        self.made += room.written_len();
        Ok(done)
    }

    /// What came out so far, if anything did.
    fn take_piece(&mut self) -> Option<Frame<Bytes>> {
        let piece = self.piece.get(..self.made).filter(|piece| !piece.is_empty())?;
        let piece = Frame::data(Bytes::copy_from_slice(piece));
        self.made = 0;
        Some(piece)
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Result<Step, BodyError> {
        match self.state {
            State::Encode { .. } if !self.rest.is_empty() => {
                let step = self.rest.slice(..self.rest.len().min(STEP));
                let mut step = PartialBuffer::new(&step[..]);
                self.write(|encoder, room| encoder.encode(&mut step, room))?;
                self.rest.advance(step.written_len());
                self.state = State::Encode { unflushed: true };
            }
            State::Encode { unflushed } => match Pin::new(&mut self.inner).poll_frame(cx) {
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
                Poll::Pending => return Ok(Step::Wait),
            },
            State::Flush => {
                if self.write(|encoder, room| encoder.flush(room))? {
                    self.state = State::Encode { unflushed: false };
                    return Ok(Step::Out);
                }
            }
            State::Finish => {
                if self.write(|encoder, room| encoder.finish(room))? {
                    self.encoder = None;
                }
            }
        }
        Ok(Step::On)
    }
}

/// What follows a step.
enum Step {
    /// Another one.
    On,
    /// What came out is not to wait for more.
    Out,
    /// There is nothing to do until the body has more.
    Wait,
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        for _ in 0..STEPS {
            if me.encoder.is_none() {
                let last = me.take_piece().or_else(|| me.trailers.take().map(Frame::trailers));
                return Poll::Ready(last.map(Ok));
            }
            let mut goes_on = me.made == me.piece.len();
            if !goes_on {
                match me.step(cx) {
                    Ok(Step::On) => {}
                    Ok(Step::Out) => goes_on = true,
                    Ok(Step::Wait) => return Poll::Pending,
                    Err(error) => {
                        (me.encoder, me.made, me.trailers) = (None, 0, None);
                        me.inner = Body::empty();
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
            if goes_on && let Some(piece) = me.take_piece() {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
        // A body that is at hand never pauses; others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.made == 0 && self.trailers.is_none()
    }
}
