//! Bodies that are read before somebody asks for them.
use std::collections::VecDeque;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;

use super::Bodies;
use super::collect::counted;
use super::replay::Replay;
use crate::{Body, BodyError};

impl Bodies {
    /// Reads a body until its end, but at most `most` bytes of it, and gives it back. What was read counts against the room until
    /// it was taken up; when there is no room for more, nothing more is read.
    ///
    /// # Errors
    /// What the body raised so far.
    pub async fn read_ahead(&self, mut body: Body, most: usize) -> Result<Body, BodyError> {
        if body.as_bytes().is_some() {
            return Ok(body);
        }
        let mut part = self.room.part();
        let (mut read, mut length) = (VecDeque::new(), 0_usize);
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            match frame?.into_data() {
                Ok(data) => {
                    length = length.saturating_add(data.len());
                    let fits = length <= most && part.grow(data.len()).is_ok();
                    read.push_back(data);
                    if !fits {
                        return Ok(Body::stream(Replay::new(read, body, None).counted(part)));
                    }
                }
                Err(frame) => {
                    return Ok(Body::stream(Replay::new(read, body, frame.into_trailers().ok()).counted(part)));
                }
            }
        }
        // all of it at hand: another attempt can have it, too
        let whole = if read.len() == 1 { read.pop_front().unwrap_or_default() } else { joined(read, length) };
        Ok(counted(whole, part).into())
    }
}

fn joined(pieces: VecDeque<Bytes>, length: usize) -> Bytes {
    let mut whole = BytesMut::with_capacity(length);
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
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
}
