//! Bodies in memory.
use std::pin::Pin;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;

use super::Bodies;
use super::coding::CODINGS;
use super::pieces::Pieces;
use super::room::Full;
use crate::Response;
use crate::body::{Body, BodyError};
use crate::error::{Error, IntoResponse as _, reject_empty};

/// Why a body was not collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unread {
    /// It is longer than the plugin takes.
    #[error("the body is longer than {0} bytes")]
    TooLarge(u64),
    /// Plugins hold as many bytes as they may together (`limits.buffer_total_bytes`), or as many of this sender's as it
    /// leaves to others.
    #[error("plugins hold as many bytes of bodies as they may")]
    NoRoom,
    /// It has a content coding that is not known.
    #[error("the body has a content coding that is not known")]
    Coding,
    /// It is not in the content coding that it should be in.
    #[error("the body is not in its content coding")]
    Undecodable,
    /// It broke off.
    #[error(transparent)]
    Broken(BodyError),
}

impl Unread {
    /// The usual answer about a request's body: 413, 503 with `Retry-After`, 415 with `Accept-Encoding` (RFC 9110
    /// §12.5.3), 408, or 400.
    pub fn into_response(self, plugin: &'static str) -> Response {
        match self {
            Self::TooLarge(_) => reject_empty(StatusCode::PAYLOAD_TOO_LARGE, plugin),
            Self::NoRoom => {
                let mut response = reject_empty(StatusCode::SERVICE_UNAVAILABLE, plugin);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            Self::Coding => {
                let mut response = reject_empty(StatusCode::UNSUPPORTED_MEDIA_TYPE, plugin);
                response.headers_mut().insert(ACCEPT_ENCODING, CODINGS);
                response
            }
            Self::Undecodable => Error::BadRequest("the body is not in its content coding").into_response(),
            // the limit of the gateway itself (security.md LIM-03)
            Self::Broken(BodyError::TooLarge { .. }) => Error::BodyTooLarge.into_response(),
            Self::Broken(BodyError::Timeout) => Error::RequestTimeout.into_response(),
            Self::Broken(_) => Error::BadRequest("the body broke off").into_response(),
        }
    }
}

/// Bytes that count against the room as long as somebody has them.
struct Counted<P> {
    bytes: Bytes,
    _part: P,
}

/// Bytes with their part of the room.
pub(super) fn counted<P: Send + Sync + 'static>(bytes: Bytes, part: P) -> Bytes {
    if bytes.is_empty() { bytes } else { Bytes::from_owner(Counted { bytes, _part: part }) }
}

impl<P> AsRef<[u8]> for Counted<P> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Bodies {
    /// Reads a whole body into memory, at most `most` bytes. They count against the room that plugins have together
    /// until the last clone of them is dropped: no client holds more of it than it leaves to others. Trailers are left
    /// out.
    ///
    /// # Errors
    /// [`Unread`]; what was read is then gone.
    pub async fn collect(&self, mut body: Body, most: usize) -> Result<Bytes, Unread> {
        let limit = most as u64;
        if body.size_hint().lower() > limit {
            return Err(Unread::TooLarge(limit));
        }
        let mut part = self.room.part(body.sender());
        let mut read = Pieces::default();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else { continue };
            if read.len().saturating_add(data.len()) > most {
                return Err(Unread::TooLarge(limit));
            }
            part.grow(data.len()).map_err(|Full| Unread::NoRoom)?;
            read.push(data);
        }
        Ok(counted(read.into_bytes(), part))
    }

    /// Has bytes that a plugin made, such as a new body, count against the room until the last clone of them is
    /// dropped.
    ///
    /// # Errors
    /// [`Unread::NoRoom`].
    pub fn hold(&self, bytes: Bytes) -> Result<Bytes, Unread> {
        let mut part = self.room.part(None);
        part.grow(bytes.len()).map_err(|Full| Unread::NoRoom)?;
        Ok(counted(bytes, part))
    }

    /// A piece of a body on its own, which does not keep the buffer that it is cut from. It counts against the room
    /// with what it costs beside its bytes; `None` when there is no room for it.
    pub(crate) fn hold_piece(&self, piece: &[u8]) -> Option<Bytes> {
        let mut part = self.room.part(None);
        part.grow(piece.len().saturating_add(PIECE)).ok()?;
        Some(counted(Bytes::copy_from_slice(piece), part))
    }
}

/// What a piece costs beside its bytes, about: a handle, an owner, and a place in a queue.
pub(crate) const PIECE: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::super::Room;
    use super::*;
    use crate::model::Limits;

    fn pieces(pieces: &'static [&'static str]) -> Body {
        let frames = pieces.iter().map(|piece| Ok::<_, BodyError>(Frame::data(Bytes::from_static(piece.as_bytes()))));
        Body::new(StreamBody::new(stream::iter(frames)))
    }

    fn within(total: u64) -> (Bodies, Arc<Room>) {
        let room = Arc::new(Room::new(total));
        (Bodies::new(Arc::clone(&room), &Limits::default()), room)
    }

    #[tokio::test]
    async fn a_body_is_whole_and_counts_until_its_last_clone_is_gone() {
        let (bodies, room) = within(100);
        for (body, expected) in [(pieces(&["abc"]), "abc"), (pieces(&["a", "", "b", "cd"]), "abcd"), (pieces(&[]), "")]
        {
            let bytes = bodies.collect(body, 4).await.unwrap();
            let other = bytes.slice(..expected.len().min(1));
            assert_eq!((&bytes[..], room.taken()), (expected.as_bytes(), expected.len() as u64));
            drop(bytes);
            assert_eq!(room.taken(), expected.len() as u64, "a clone is left");
            drop(other);
            assert_eq!(room.taken(), 0);
        }
    }

    #[tokio::test]
    async fn sec_lim_04_one_body_and_all_of_them_are_bounded() {
        let (bodies, room) = within(10);
        let status = |unread: Unread| unread.into_response("test").status().as_u16();
        assert_eq!(status(bodies.collect(pieces(&["abc", "de"]), 4).await.unwrap_err()), 413);
        assert_eq!(status(bodies.collect(Body::from("abcde"), 4).await.unwrap_err()), 413);
        assert_eq!(room.taken(), 0, "what was refused is given back");
        let held = bodies.collect(pieces(&["abcd", "efgh"]), 100).await.unwrap();
        let error = bodies.collect(pieces(&["ab", "c"]), 100).await.unwrap_err();
        assert!(matches!(error, Unread::NoRoom), "{error}");
        let answer = error.into_response("test");
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
        room.resize(11);
        let more = bodies.collect(pieces(&["ab", "c"]), 100).await.unwrap();
        assert_eq!((held.len() + more.len(), room.taken()), (11, 11));
    }

    #[test]
    fn what_plugins_make_counts_as_well() {
        let (bodies, room) = within(PIECE as u64 + 3);
        let held = bodies.hold(Bytes::from("abc")).unwrap();
        assert_eq!((room.taken(), &held[..]), (3, &b"abc"[..]));
        drop(held);
        let piece = bodies.hold_piece(b"abc").unwrap();
        assert_eq!((room.taken(), &piece[..]), (PIECE as u64 + 3, &b"abc"[..]));
        assert!(matches!(bodies.hold(Bytes::from("a")), Err(Unread::NoRoom)) && bodies.hold_piece(b"a").is_none());
        drop(piece);
        assert_eq!(room.taken(), 0);
    }

    #[tokio::test]
    async fn what_breaks_off_is_told_apart() {
        let bodies = Bodies::default();
        for (error, status) in
            [(BodyError::Timeout, 408), (BodyError::TooLarge { limit: 1 }, 413), (BodyError::Incomplete, 400)]
        {
            let frames = stream::iter([Ok(Frame::data(Bytes::from_static(b"a"))), Err(error)]);
            let unread = bodies.collect(Body::new(StreamBody::new(frames)), 10).await.unwrap_err();
            assert_eq!(unread.into_response("test").status().as_u16(), status);
        }
    }
}
