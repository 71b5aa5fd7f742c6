//! The way of a request onto its connection.
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Method};
use http_body::Body as _;

use crate::http1::{Framing, LAST_CHUNK, write_chunk_head, write_trailers};
use crate::net::Io;
use crate::{Body, BodyError};

/// A piece of a body up to this many bytes is copied behind the head or size line before it: one plain send.
const COPY: usize = 4096;

thread_local! {
    /// Where heads and size lines are put together: scratch space, empty between two uses.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(16 * 1024));
}

/// A request on its way out. It is sent as far as the socket takes it; what is left waits in here.
#[derive(Debug)]
pub(super) struct Upload {
    body: Body,
    framing: Framing,
    /// With [`Framing::Length`]: bytes of the body still to be taken.
    missing: u64,
    /// Framing bytes the socket did not take yet, from `sent` on.
    framed: Vec<u8>,
    sent: usize,
    /// Body bytes behind them.
    data: Bytes,
    /// What was written may wait above the socket still.
    above: bool,
    /// A chunk whose CRLF has not been put behind it.
    open: bool,
    /// All of the body was taken.
    ended: bool,
    /// Bytes that the socket took.
    written: u64,
    /// Something was taken from the body.
    touched: bool,
    /// The last poll waits for the body, not for the socket.
    hungry: bool,
}

/// Why a request could not be sent to its end.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The client's side.
    Body(BodyError),
    /// The endpoint's side.
    Io(io::Error),
}

/// What comes next of a body.
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

impl Upload {
    pub(super) fn new(method: &Method, body: Body) -> Self {
        let framing = match body.size_hint().exact() {
            // These methods mean a body, so that none is said aloud (RFC 9110 §8.6).
            Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        Self {
            missing: if let Framing::Length(length) = framing { length } else { 0 },
            ended: framing.is_empty(),
            body,
            framing,
            framed: Vec::new(),
            sent: 0,
            data: Bytes::new(),
            above: false,
            open: false,
            written: 0,
            touched: false,
            hungry: false,
        }
    }

    /// Bytes that the socket took so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether it waits for the client.
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry
    }

    /// Whether everything is on its way.
    pub(super) fn is_finished(&self) -> bool {
        self.ended && self.is_written() && !self.above
    }

    /// The body, if nothing was taken from it.
    pub(super) fn into_untouched(self) -> Option<Body> {
        (!self.touched).then_some(self.body)
    }

    /// Writes the head, by `head`, and what is there of the body with it. Called once, before [`poll`](Self::poll).
    pub(super) fn begin(
        &mut self,
        cx: &mut Context<'_>,
        io: &Io,
        head: impl FnOnce(&mut Vec<u8>, Framing),
    ) -> Result<(), UploadError> {
        // The body is polled before the scratch space is borrowed: it may be another exchange's, which borrows it too.
        let piece = if self.ended { Poll::Pending } else { self.poll_piece(cx).map_err(UploadError::Body) };
        SCRATCH.with_borrow_mut(|out| {
            out.clear();
            head(out, self.framing);
            if let Poll::Ready(piece) = piece {
                self.encode(piece?, out);
            }
            self.send(cx, io, out)
        })
    }

    /// Sends on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, io: &Io) -> Poll<Result<(), UploadError>> {
        self.hungry = false;
        loop {
            ready!(self.poll_flush(cx, io))?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(piece) = self.poll_piece(cx) else {
                self.hungry = true;
                return Poll::Pending;
            };
            let piece = piece.map_err(UploadError::Body)?;
            SCRATCH.with_borrow_mut(|out| {
                out.clear();
                self.encode(piece, out);
                self.send(cx, io, out)
            })?;
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, BodyError>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            self.touched = true;
            let Some(frame) = frame else {
                let short = self.missing > 0;
                return Poll::Ready(if short { Err(BodyError::Incomplete) } else { Ok(Piece::End) });
            };
            match frame?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    if let Framing::Length(_) = self.framing {
                        // Never more than was announced: the rest would be read as another request (H1-24).
                        let missing = self.missing.checked_sub(data.len() as u64);
                        self.missing = missing.ok_or(BodyError::Malformed("body is longer than announced"))?;
                    }
                    return Poll::Ready(Ok(Piece::Data(data)));
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers()
                        && self.framing == Framing::Chunked
                    {
                        return Poll::Ready(Ok(Piece::Trailers(trailers)));
                    }
                }
            }
        }
    }

    /// Puts a piece into `out`, and into `self.data` what is too large to be copied.
    fn encode(&mut self, piece: Piece, out: &mut Vec<u8>) {
        if self.framing != Framing::Chunked {
            match piece {
                Piece::Data(data) if data.len() <= COPY => out.extend_from_slice(&data),
                Piece::Data(data) => self.data = data,
                Piece::Trailers(_) | Piece::End => self.ended = true,
            }
            self.ended |= self.missing == 0;
            return;
        }
        if std::mem::take(&mut self.open) {
            out.extend_from_slice(b"\r\n");
        }
        match piece {
            Piece::Data(data) => {
                write_chunk_head(out, data.len());
                if data.len() > COPY {
                    self.data = data;
                    self.open = true;
                    return;
                }
                out.extend_from_slice(&data);
                out.extend_from_slice(b"\r\n");
                if self.body.is_end_stream() {
                    out.extend_from_slice(LAST_CHUNK);
                    self.ended = true;
                }
            }
            Piece::Trailers(trailers) => {
                write_trailers(out, &trailers);
                self.ended = true;
            }
            Piece::End => {
                out.extend_from_slice(LAST_CHUNK);
                self.ended = true;
            }
        }
    }

    /// Writes `out` and the data behind it once; what the socket does not take is kept.
    fn send(&mut self, cx: &mut Context<'_>, io: &Io, out: &[u8]) -> Result<(), UploadError> {
        let count = match io.poll_write(cx, out, &self.data) {
            Poll::Ready(count) => count.map_err(UploadError::Io)?,
            Poll::Pending => 0,
        };
        self.written += count as u64;
        self.framed.clear();
        self.sent = 0;
        match out.get(count..) {
            Some(rest) if !rest.is_empty() => self.framed.extend_from_slice(rest),
            _ => self.data.advance(count - out.len()),
        }
        self.above = io.poll_flush(cx).map_err(UploadError::Io)?.is_pending();
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, io: &Io) -> Poll<Result<(), UploadError>> {
        loop {
            if self.is_written() {
                if self.above {
                    ready!(io.poll_flush(cx)).map_err(UploadError::Io)?;
                    self.above = false;
                }
                return Poll::Ready(Ok(()));
            }
            let framed = self.framed.get(self.sent..).unwrap_or_default();
            let count = ready!(io.poll_write(cx, framed, &self.data)).map_err(UploadError::Io)?;
            if count == 0 {
                return Poll::Ready(Err(UploadError::Io(io::ErrorKind::WriteZero.into())));
            }
            self.written += count as u64;
            let of_framed = count.min(framed.len());
            self.sent += of_framed;
            self.data.advance(count - of_framed);
            self.above = true;
        }
    }

    fn is_written(&self) -> bool {
        self.sent == self.framed.len() && self.data.is_empty()
    }
}
