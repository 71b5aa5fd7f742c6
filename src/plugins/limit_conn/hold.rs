//! Places that are held for as long as a request runs.
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::BodyError;
#[cfg(feature = "redis")]
use crate::plugins::limit::RemoteSlot;
use crate::plugins::limit::Slot;
use crate::upgrade::Duplex;
use crate::{Body, Response, UpgradedIo};

/// A place in a crowd, given back when it is dropped.
pub(super) enum Place {
    #[expect(dead_code, reason = "held to be dropped")]
    Here(Slot),
    #[cfg(feature = "redis")]
    #[expect(dead_code, reason = "held to be dropped")]
    Redis(RemoteSlot),
}

/// The places of one request.
pub(super) type Places = SmallVec<[Place; 1]>;

/// Has an answer hold the places until its body, or the tunnel behind it, has come to its end.
pub(super) fn hold(places: Places, response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(upgraded) = head.extensions.remove::<UpgradedIo>() {
        let held = match upgraded.take() {
            Some((io, early)) => UpgradedIo::new(HeldIo { io, _places: places }, early),
            None => upgraded.clone(),
        };
        let held = match upgraded.idle_timeout() {
            Some(idle_timeout) => held.with_idle_timeout(idle_timeout),
            None => held,
        };
        head.extensions.insert(held);
        return Response::from_parts(head, body);
    }
    // what is in memory already needs nobody's work any more
    if body.as_bytes().is_some() {
        return Response::from_parts(head, body);
    }
    Response::from_parts(head, Body::stream(HeldBody { body, places }))
}

struct HeldBody {
    body: Body,
    places: Places,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // a server may keep a body that has ended for a while
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.places.clear();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct HeldIo {
    io: Box<dyn Duplex>,
    _places: Places,
}

impl AsyncRead for HeldIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for HeldIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
