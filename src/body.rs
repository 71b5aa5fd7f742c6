//! The one body type of requests and responses.
use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::held::{Counted, Held};

/// What a plugin or an endpoint may raise.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request or response body: nothing, bytes at hand, or a stream of frames.
///
/// Every body that passes through the gateway has this type. [`Body::new`] takes any `http_body::Body`; a `Body` and a
/// hyper `Incoming` are taken as they are, anything else is boxed once.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(hyper::body::Incoming),
    Boxed(Stream),
    /// Counted until its end.
    Counted(Stream, Option<Counted>),
    /// Of a client.
    Sent(Stream, Sender),
}

/// Whose a body is that comes from outside: the client's address, of IPv6 its network (`/64`), within which one client
/// has all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sender(u64);

impl Sender {
    pub(crate) fn of(client: IpAddr) -> Self {
        Self(match client.to_canonical() {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        })
    }
}

type Stream = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>;

/// Response extension: only the end of the connection ends the body, so nobody can tell whether it is whole (RFC 9112 §6.3).
#[cfg(feature = "client")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndsWithConnection;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// More bytes than the limit allows (security.md LIM-03).
    #[error("body is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// No byte, or too few bytes, for too long (security.md LIM-07, UP-09).
    #[error("body came too slowly")]
    Timeout,
    /// Framing that RFC 9112 §7.1 does not allow.
    #[error("malformed body: {0}")]
    Malformed(&'static str),
    /// The peer closed before the promised end (RFC 9112 §8).
    #[error("body was cut short")]
    Incomplete,
    /// The connection broke.
    #[error("connection failed while a body was read")]
    Io(#[from] std::io::Error),
    /// Any other error of a foreign body.
    #[error("body failed")]
    Other(#[source] BoxError),
}

impl Body {
    /// A body without a byte.
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Takes any body. A [`Body`] comes back unchanged and a hyper `Incoming` is not boxed.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let mut slot = Some(body);
        let any: &mut dyn Any = &mut slot;
        if let Some(own) = any.downcast_mut::<Option<Body>>() {
            return own.take().unwrap_or_default();
        }
        if let Some(incoming) = any.downcast_mut::<Option<hyper::body::Incoming>>() {
            return incoming.take().map_or_else(Body::empty, Body::from);
        }
        match slot {
            Some(body) if !body.is_end_stream() => Self(Kind::Boxed(Box::pin(Foreign { inner: body }))),
            _ => Self::empty(),
        }
    }

    /// Takes a stream that already speaks `Bytes` and [`BodyError`]; it is boxed once and not wrapped.
    pub fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self(Kind::Boxed(Box::pin(body)))
    }

    /// As [`Body::stream`], for a stream that is in a box already.
    #[cfg(feature = "client")]
    pub(crate) fn boxed<B>(body: Pin<Box<B>>) -> Self
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self(Kind::Boxed(body))
    }

    /// The same body, counted until its end. What is at hand is not: it needs nobody's work any more.
    pub(crate) fn counted(self, part: Counted) -> Self {
        match self.0 {
            Kind::Boxed(body) | Kind::Sent(body, _) => Self(Kind::Counted(body, Some(part))),
            Kind::Incoming(_) | Kind::Counted(..) => Self::stream(Held::new(self, part)),
            Kind::Empty | Kind::Full(_) => self,
        }
    }

    /// The same body, of that sender. What is at hand is not marked: nobody waits for it any more.
    pub(crate) fn sent_by(self, sender: Option<Sender>) -> Self {
        match (self.0, sender) {
            (Kind::Boxed(body), Some(sender)) => Self(Kind::Sent(body, sender)),
            (kind, _) => Self(kind),
        }
    }

    /// Whose it is, where that is known.
    pub(crate) fn sender(&self) -> Option<Sender> {
        match &self.0 {
            Kind::Sent(_, sender) => Some(*sender),
            _ => None,
        }
    }

    /// Whether it is known that no byte will come.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Boxed(body) | Kind::Counted(body, _) | Kind::Sent(body, _) => body.is_end_stream(),
        }
    }

    /// The whole body when it is at hand: `Some` for an empty one and for bytes, `None` for a stream.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Empty => Some(&[]),
            Kind::Full(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Takes the bytes out when they are all at hand; a stream is handed back.
    ///
    /// # Errors
    /// The body itself when it is a stream.
    pub fn into_bytes(self) -> Result<Bytes, Body> {
        match self.0 {
            Kind::Empty => Ok(Bytes::new()),
            Kind::Full(bytes) => Ok(bytes),
            kind => Err(Body(kind)),
        }
    }

    /// Reads the whole body into memory, at most `max_bytes`.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] past the limit, else what the stream raised.
    pub async fn buffer(mut self, max_bytes: usize) -> Result<Bytes, BodyError> {
        let limit = max_bytes as u64;
        if self.size_hint().lower() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        let mut whole = bytes::BytesMut::new();
        loop {
            match std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
                None => return Ok(whole.freeze()),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        if whole.is_empty() && self.is_end_stream() && data.len() <= max_bytes {
                            return Ok(data);
                        }
                        if whole.len() + data.len() > max_bytes {
                            return Err(BodyError::TooLarge { limit });
                        }
                        whole.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let kind = &mut self.get_mut().0;
        match kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *kind = Kind::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Kind::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(|error| BodyError::Other(error.into())),
            Kind::Boxed(body) | Kind::Sent(body, _) => body.as_mut().poll_frame(cx),
            Kind::Counted(body, part) => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    *part = None;
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Boxed(body) | Kind::Counted(body, _) | Kind::Sent(body, _) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Incoming(_) | Kind::Boxed(_) | Kind::Counted(..) | Kind::Sent(..) => f.write_str("Body(stream)"),
        }
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Full(bytes)) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<hyper::body::Incoming> for Body {
    fn from(body: hyper::body::Incoming) -> Self {
        if body.is_end_stream() { Self::empty() } else { Self(Kind::Incoming(body)) }
    }
}

pin_project_lite::pin_project! {
    /// A foreign body, its data and errors brought to ours.
    struct Foreign<B> {
        #[pin]
        inner: B,
    }
}

impl<B> HttpBody for Foreign<B>
where
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.project().inner.poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
            Err(error) => {
                let error = error.into();
                Err(match error.downcast::<BodyError>() {
                    Ok(own) => *own,
                    Err(other) => BodyError::Other(other),
                })
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    #[test]
    fn own_bodies_are_not_boxed_again() {
        let body = Body::new(Body::from("x"));
        assert_eq!(body.as_bytes(), Some(&b"x"[..]));
    }

    #[tokio::test]
    async fn buffer_counts_bytes_and_refuses_more() {
        assert_eq!(Body::new(Full::new(Bytes::from("abc"))).buffer(3).await.unwrap(), "abc");
        let error = Body::new(Full::new(Bytes::from("abcd"))).buffer(3).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 3 }));
    }

    #[tokio::test]
    async fn trailers_and_errors_of_foreign_bodies_pass() {
        let frames: Vec<Result<Frame<Bytes>, BoxError>> =
            vec![Ok(Frame::data(Bytes::from("a"))), Ok(Frame::trailers(http::HeaderMap::new())), Err("late".into())];
        let mut body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert!(body.frame().await.unwrap().unwrap().is_trailers());
        assert!(matches!(body.frame().await.unwrap(), Err(BodyError::Other(_))));
    }
}
