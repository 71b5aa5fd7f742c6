//! A body on its way through an encoder.
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use super::Encoder;
use crate::{Body, BodyError};

/// Bytes that go into the encoder at a time: what comes out is asked for in between.
const STEP: usize = 16 * 1024;

/// From so many bytes on, what came out goes on.
const PIECE: usize = 16 * 1024;

/// The encoded form of a body. It holds the piece of the body that is being encoded, what came out and has not gone on (at most
/// about [`PIECE`] and one [`STEP`]), and what the encoder holds.
pub(super) struct Compressed {
    inner: Body,
    /// What the body gave and was not encoded yet.
    rest: Bytes,
    /// `None` once its end is out.
    encoder: Option<Box<dyn Encoder>>,
    /// Whether the encoder may hold something back.
    unflushed: bool,
    trailers: Option<HeaderMap>,
}

impl Compressed {
    pub(super) fn new(inner: Body, encoder: Box<dyn Encoder>) -> Self {
        Self { inner, rest: Bytes::new(), encoder: Some(encoder), unflushed: false, trailers: None }
    }

    fn end(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let mut encoder = self.encoder.take()?;
        match encoder.finish() {
            Ok(()) => Some(Ok(piece(&mut *encoder))),
            Err(error) => Some(Err(failed(error))),
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.encoder = None;
        self.inner = Body::empty();
        Poll::Ready(Some(Err(error)))
    }
}

fn piece(encoder: &mut dyn Encoder) -> Frame<Bytes> {
    Frame::data(std::mem::take(encoder.out()).into())
}

fn failed(error: io::Error) -> BodyError {
    BodyError::Other(error.into())
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        loop {
            let Some(encoder) = &mut me.encoder else {
                return Poll::Ready(me.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            if encoder.out().len() >= PIECE {
                return Poll::Ready(Some(Ok(piece(&mut **encoder))));
            }
            if !me.rest.is_empty() {
                let step = me.rest.split_to(me.rest.len().min(STEP));
                me.unflushed = true;
                match encoder.write(&step) {
                    Ok(()) => continue,
                    Err(error) => return me.fail(failed(error)),
                }
            }
            match Pin::new(&mut me.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => me.rest = data,
                    Err(frame) => {
                        me.trailers = frame.into_trailers().ok();
                        return Poll::Ready(me.end());
                    }
                },
                Poll::Ready(Some(Err(error))) => return me.fail(error),
                Poll::Ready(None) => return Poll::Ready(me.end()),
                // The upstream pauses: what it sent is not held back any longer.
                Poll::Pending if std::mem::take(&mut me.unflushed) => {
                    if let Err(error) = encoder.flush() {
                        return me.fail(failed(error));
                    }
                    if !encoder.out().is_empty() {
                        return Poll::Ready(Some(Ok(piece(&mut **encoder))));
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}
