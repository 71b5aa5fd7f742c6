//! A response body on its way in.
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::super::held::Stay;
use super::remote::Lease;
use super::upload::Upload;
use crate::BodyError;
use crate::http1::{Decoded, Decoder};
use crate::net::{Late, Room};

/// Reads the body of one response from its connection. The rest of the request, if the endpoint answered before it had
/// all of it, goes on being sent meanwhile.
///
/// A body that ends before its end is an error, never an end (security.md UP-03).
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Gone once the body is over.
    lease: Option<Lease>,
    decoder: Decoder,
    carry: Bytes,
    upload: Option<Box<Upload>>,
    /// The connection may carry another request.
    keep_alive: bool,
    /// For each gap.
    read_timeout: Duration,
    /// The endpoint's deadline runs; the bytes of the request that it had taken then.
    armed: Option<u64>,
    stay: Option<Stay>,
}

impl Incoming {
    /// `carry` is what came behind the head; `upload` the request, if it is not sent yet.
    pub(super) fn new(
        lease: Lease,
        decoder: Decoder,
        carry: Bytes,
        upload: Option<Box<Upload>>,
        keep_alive: bool,
        read_timeout: Duration,
    ) -> Self {
        lease.io.disarm();
        Self { lease: Some(lease), decoder, carry, upload, keep_alive, read_timeout, armed: None, stay: None }
    }

    /// Holds a place in the upstream until the body is over.
    pub(crate) fn hold(&mut self, stay: Stay) {
        self.stay = Some(stay);
    }

    /// The body is complete.
    fn finish(&mut self) {
        self.stay = None;
        let Some(lease) = self.lease.take() else { return };
        close_or_keep(lease, self.keep_alive && self.upload.is_none(), &self.carry);
    }

    /// The body ends before its end.
    fn cut(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.stay = None;
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }

    /// Sends the rest of the request. Once the endpoint does not take it, it has its reasons, and the response goes on.
    fn poll_upload(&mut self, cx: &mut Context<'_>) {
        let (Some(upload), Some(lease)) = (&mut self.upload, &self.lease) else { return };
        match upload.poll(cx, &lease.io) {
            Poll::Pending => {}
            Poll::Ready(sent) => {
                self.keep_alive &= sent.is_ok();
                self.upload = None;
            }
        }
    }
}

/// What becomes of a connection behind a complete response: `carry` must be empty, or the endpoint is not in step.
pub(super) fn close_or_keep(lease: Lease, keep: bool, carry: &Bytes) {
    if !carry.is_empty() {
        lease.give_up_on_strays();
    } else if keep {
        lease.give_back();
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        me.poll_upload(cx);
        loop {
            match me.decoder.next(&mut me.carry) {
                Ok(Decoded::Data(data)) => {
                    if me.decoder.is_done() {
                        me.finish();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Decoded::Trailers(trailers)) => {
                    me.finish();
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Decoded::Done) => {
                    me.finish();
                    return Poll::Ready(None);
                }
                Ok(Decoded::More) => {}
                Err(fault) => return me.cut(fault.into()),
            }
            let Some(lease) = &me.lease else { return me.cut(BodyError::Incomplete) };
            let piece = match lease.io.poll_read(cx, Room::Body) {
                Poll::Pending => {
                    // A gap is the endpoint's unless the rest of the request is to come first; what it takes of that is
                    // a sign of life.
                    let owed = match &me.upload {
                        None => Some(0),
                        Some(upload) => (!upload.is_hungry()).then(|| upload.written()),
                    };
                    if owed != me.armed {
                        match owed {
                            Some(_) => lease.io.arm(me.read_timeout, Late::Both),
                            None => lease.io.disarm(),
                        }
                        me.armed = owed;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(piece) => piece,
            };
            if !matches!(&piece, Ok(bytes) if !bytes.is_empty()) && lease.io.is_late() {
                return me.cut(BodyError::Timeout);
            }
            if me.armed.take().is_some() {
                lease.io.disarm();
            }
            match piece {
                Ok(bytes) if bytes.is_empty() => {
                    if !me.decoder.end_of_stream() {
                        return me.cut(BodyError::Incomplete);
                    }
                }
                Ok(bytes) => me.carry = bytes,
                Err(error) => return me.cut(error.into()),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
