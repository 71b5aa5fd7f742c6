//! Bodies that are read before somebody asks for them.
use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;

use super::Bodies;
use super::collect::counted;
use super::pieces::Pieces;
use super::replay::Replay;
use super::room::Part;
use crate::{Body, BodyError};

/// How far the reading of a body came. What is not whole goes on as a stream, with what was read at its beginning.
#[derive(Debug)]
pub(crate) enum Ahead {
    /// All of it is there.
    Whole(Bytes),
    /// It is longer than was asked for.
    TooLong(Body),
    /// It has trailers, which bytes have no place for.
    Trailers(Body),
    /// Plugins hold as many bytes as they may together.
    NoRoom(Body),
}

impl Bodies {
    /// Reads a body until its end, but at most `most` bytes of it, and gives it back. What was read counts against the
    /// room until it was taken up; when there is no room for more, nothing more is read.
    ///
    /// # Errors
    /// What the body raised so far.
    pub async fn read_ahead(&self, body: Body, most: usize) -> Result<Body, BodyError> {
        // all of it at hand: another attempt can have it, too
        Ok(match self.ahead(body, most).await? {
            Ahead::Whole(bytes) => bytes.into(),
            Ahead::TooLong(body) | Ahead::Trailers(body) | Ahead::NoRoom(body) => body,
        })
    }

    /// As [`Bodies::read_ahead`], and says how far it came. A body that was at hand before is whole, however long it
    /// is.
    ///
    /// # Errors
    /// What the body raised so far.
    pub(crate) async fn ahead(&self, body: Body, most: usize) -> Result<Ahead, BodyError> {
        let mut body = match body.into_bytes() {
            Ok(bytes) => return Ok(Ahead::Whole(bytes)),
            Err(stream) => stream,
        };
        let sender = body.sender();
        let mut part = self.room.part(sender);
        let mut read = Pieces::default();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            match frame?.into_data() {
                Ok(data) => {
                    let is_long = read.len().saturating_add(data.len()) > most;
                    if is_long || part.grow(data.len()).is_err() {
                        let body = again([read.into_bytes(), data], body, None, part).sent_by(sender);
                        return Ok(if is_long { Ahead::TooLong(body) } else { Ahead::NoRoom(body) });
                    }
                    read.push(data);
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().ok();
                    let body = again([read.into_bytes(), Bytes::new()], body, trailers, part).sent_by(sender);
                    return Ok(Ahead::Trailers(body));
                }
            }
        }
        Ok(Ahead::Whole(counted(read.into_bytes(), part)))
    }
}

/// What was read, and then the rest.
fn again(read: [Bytes; 2], rest: Body, trailers: Option<HeaderMap>, part: Part) -> Body {
    let read: VecDeque<_> = read.into_iter().filter(|piece| !piece.is_empty()).collect();
    Body::stream(Replay::new(read, rest, trailers).counted(part))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::super::Room;
    use super::*;
    use crate::model::Limits;

    fn pieces(pieces: &'static [&'static str], trailers: bool) -> Body {
        let data = pieces.iter().map(|piece| Ok::<_, BodyError>(Frame::data(Bytes::from_static(piece.as_bytes()))));
        let end = trailers
            .then(|| Ok(Frame::trailers([("x-sum".parse().unwrap(), "1".parse().unwrap())].into_iter().collect())));
        Body::new(StreamBody::new(stream::iter(data.chain(end))))
    }

    #[tokio::test]
    async fn a_body_is_at_hand_or_goes_on_as_a_stream() {
        let room = Arc::new(Room::new(8));
        let bodies = Bodies::new(Arc::clone(&room), &Limits::default());
        for (body, most, at_hand, taken) in [
            (Body::from("abc"), 1, true, 0),
            (pieces(&["ab", "cd"], false), 4, true, 4),
            (pieces(&["ab", "cd", "ef"], false), 4, false, 4),
            (pieces(&["ab", "cdefghi"], false), 100, false, 2),
            (pieces(&["ab"], true), 4, false, 2),
        ] {
            let expected = body.size_hint();
            let read = bodies.read_ahead(body, most).await.unwrap();
            assert_eq!((read.as_bytes().is_some(), room.taken()), (at_hand, taken), "{expected:?}");
            let whole = read.collect().await.unwrap();
            assert!(whole.to_bytes().starts_with(b"ab"));
            assert_eq!(room.taken(), 0);
        }
        let read = bodies.read_ahead(pieces(&["ab", "cd", "ef"], true), 3).await.unwrap();
        let whole = read.collect().await.unwrap();
        assert!(whole.trailers().is_some());
        assert_eq!(whole.to_bytes(), "abcdef");
        let frames = stream::iter([Ok(Frame::data(Bytes::from("a"))), Err(BodyError::Timeout)]);
        assert!(bodies.read_ahead(Body::new(StreamBody::new(frames)), 9).await.is_err());
    }

    #[tokio::test]
    async fn why_it_is_not_whole_is_told() {
        let bodies = Bodies::new(Arc::new(Room::new(8)), &Limits::default());
        assert!(matches!(bodies.ahead(pieces(&["ab", "cd"], false), 4).await.unwrap(), Ahead::Whole(_)));
        assert!(matches!(bodies.ahead(pieces(&["ab", "cd"], false), 3).await.unwrap(), Ahead::TooLong(_)));
        assert!(matches!(bodies.ahead(pieces(&["ab", "cd"], true), 4).await.unwrap(), Ahead::Trailers(_)));
        assert!(matches!(bodies.ahead(pieces(&["abcdef", "ghi"], false), 100).await.unwrap(), Ahead::NoRoom(_)));
    }

    #[tokio::test]
    async fn sec_lim_04_many_small_pieces_are_held_as_one() {
        let bodies = Bodies::default();
        let Ahead::TooLong(mut body) = bodies.ahead(pieces(&["a", "b", "c", "d", "e"], false), 4).await.unwrap() else {
            panic!("it is longer")
        };
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(frames, ["abcd", "e"]);
    }
}
