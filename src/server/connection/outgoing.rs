//! What a response's body becomes on the wire.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;

use crate::Body;
use crate::http1::{Framing, LAST_CHUNK, write_chunk_head, write_trailers};

/// A piece of a body up to this size is copied behind what is written anyway: one plain send is cheaper than two slices.
const COPY: usize = 4 * 1024;
/// Copied pieces are gathered up to this size.
const GATHER: usize = 16 * 1024;

/// A body that must not be sent on: it broke, or it is not as long as was promised.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut;

/// The rest of a response body.
pub(super) struct Outgoing {
    body: Body,
    left: Left,
    /// Whether the client takes trailers.
    trailers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Length(u64),
    /// `open`: the data of a chunk went out, its CRLF did not.
    Chunked {
        open: bool,
    },
    Close,
    Nothing,
}

impl Outgoing {
    pub(super) fn new(body: Body, framing: Framing, trailers: bool) -> Self {
        let left = match framing {
            Framing::None | Framing::Length(0) => Left::Nothing,
            Framing::Length(bytes) => Left::Length(bytes),
            Framing::Chunked => Left::Chunked { open: false },
            Framing::Close => Left::Close,
        };
        let mut outgoing = Self { body, left, trailers };
        if left == Left::Nothing {
            outgoing.drop_body();
        }
        outgoing
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == Left::Nothing
    }

    /// Whether the client reads the body to the end of the connection, so that only a reset shows a cut.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.left == Left::Close
    }

    /// Adds what the body has ready to `out`; a large piece goes into `chunk`, which is to be written behind `out`.
    /// Pending when the body has no more for now; `out` may have grown even so.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<u8>,
        chunk: &mut Bytes,
    ) -> Poll<Result<(), Cut>> {
        while !self.is_done() && chunk.is_empty() && out.len() < GATHER {
            match ready!(self.poll_body(cx)) {
                None => {
                    match self.left {
                        Left::Length(_) => return Poll::Ready(Err(Cut)),
                        Left::Chunked { .. } => {
                            self.close_chunk(out);
                            out.extend_from_slice(LAST_CHUNK);
                        }
                        Left::Close | Left::Nothing => {}
                    }
                    self.finish();
                }
                Some(Err(cut)) => return Poll::Ready(Err(cut)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => self.data(data, out, chunk)?,
                    Err(frame) => {
                        if matches!(self.left, Left::Chunked { .. })
                            && let Ok(trailers) = frame.into_trailers()
                        {
                            self.close_chunk(out);
                            if self.trailers {
                                write_trailers(out, &trailers);
                            } else {
                                out.extend_from_slice(LAST_CHUNK);
                            }
                            self.finish();
                        }
                    }
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    fn data(&mut self, data: Bytes, out: &mut Vec<u8>, chunk: &mut Bytes) -> Result<(), Cut> {
        match &mut self.left {
            Left::Length(left) => {
                // More than was promised would be read as the next response.
                *left = left.checked_sub(data.len() as u64).ok_or(Cut)?;
                if *left == 0 {
                    self.finish();
                }
            }
            Left::Chunked { .. } => {
                self.close_chunk(out);
                write_chunk_head(out, data.len());
                self.left = Left::Chunked { open: true };
            }
            Left::Close | Left::Nothing => {}
        }
        if data.len() <= COPY {
            out.extend_from_slice(&data);
            // Now, as it costs nothing: a client may wait for the whole chunk.
            self.close_chunk(out);
        } else {
            *chunk = data;
        }
        Ok(())
    }

    fn close_chunk(&mut self, out: &mut Vec<u8>) {
        if self.left == (Left::Chunked { open: true }) {
            out.extend_from_slice(b"\r\n");
            self.left = Left::Chunked { open: false };
        }
    }

    fn finish(&mut self) {
        self.left = Left::Nothing;
        self.drop_body();
    }

    /// One frame; a panic inside the body is an error of the body (PAN-01).
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<Bytes>, Cut>>> {
        let body = &mut self.body;
        match catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx))) {
            Ok(polled) => polled.map(|frame| frame.map(|frame| frame.map_err(|_| Cut))),
            Err(_) => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn drop_body(&mut self) {
        if !matches!(self.body.as_bytes(), Some([])) {
            let body = std::mem::take(&mut self.body);
            // A panic while a foreign body is dropped must not take the connection along.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(body)));
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.drop_body();
    }
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;
    use crate::BodyError;

    fn fill(frames: Vec<Result<Frame<Bytes>, BodyError>>, framing: Framing) -> Poll<Result<(String, usize), Cut>> {
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let mut outgoing = Outgoing::new(body, framing, true);
        let (mut out, mut chunk, mut large) = (Vec::new(), Bytes::new(), 0);
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        while !outgoing.is_done() {
            ready!(outgoing.poll_fill(cx, &mut out, &mut chunk))?;
            large += std::mem::take(&mut chunk).len();
        }
        Poll::Ready(Ok((String::from_utf8(out).unwrap(), large)))
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, BodyError> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn chunks_trailers_and_large_pieces() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("1"));
        let frames = vec![
            data("abc"),
            data(""),
            Ok(Frame::data(vec![0; 5000].into())),
            data("d"),
            Ok(Frame::trailers(trailers)),
        ];
        let wanted = "3\r\nabc\r\n1388\r\n\r\n1\r\nd\r\n0\r\nx-sum: 1\r\n\r\n".to_owned();
        assert_eq!(fill(frames, Framing::Chunked), Poll::Ready(Ok((wanted, 5000))));
    }

    #[test]
    fn sec_up_03_a_body_is_as_long_as_promised_or_cut() {
        assert_eq!(fill(vec![data("abc")], Framing::Length(3)), Poll::Ready(Ok(("abc".to_owned(), 0))));
        assert_eq!(fill(vec![data("abc")], Framing::Length(4)), Poll::Ready(Err(Cut)));
        assert_eq!(fill(vec![data("abc"), data("d")], Framing::Length(2)), Poll::Ready(Err(Cut)));
        assert_eq!(fill(vec![data("abc"), Err(BodyError::Incomplete)], Framing::Chunked), Poll::Ready(Err(Cut)));
    }
}
