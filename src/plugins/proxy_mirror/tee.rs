//! A body that is read once and seen twice.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::plugin::bodies::{Bodies, PIECE};
use crate::{Body, BodyError};

/// A part of a body on its way to the copy. There is no room for more than the limit, so the channel needs none of its
/// own.
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

/// What both sides know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Bytes on their way, with what each piece costs beside its own.
    held: AtomicUsize,
    /// The copy was too slow and got no more.
    lost: AtomicBool,
}

impl Shared {
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }
}

/// The same body twice: whoever reads the first one drives both, and waits for nobody. The second one gets what the
/// first one gave, and breaks off when more than `limit` bytes were not yet taken, each piece counted with [`PIECE`]
/// more, or when there is no room for them.
pub(super) fn tee(body: Body, limit: usize, bodies: Bodies) -> (Body, Body, Arc<Shared>) {
    let (pieces, received) = unbounded_channel();
    let shared = Arc::new(Shared::default());
    let left = body.size_hint().exact();
    let copy = Copy { received, shared: Arc::clone(&shared), left, ended: false };
    let original =
        Original { inner: body, copying: Some(Copying { pieces, shared: Arc::clone(&shared), limit, bodies }) };
    (Body::stream(original), Body::stream(copy), shared)
}

struct Original {
    inner: Body,
    copying: Option<Copying>,
}

struct Copying {
    pieces: UnboundedSender<Piece>,
    shared: Arc<Shared>,
    limit: usize,
    bodies: Bodies,
}

impl Copying {
    /// Passes a piece on; `None` when the copy is over.
    fn pass(self, piece: Piece) -> Option<Self> {
        self.pieces.send(piece).ok().map(|()| self)
    }

    fn data(self, data: &[u8]) -> Option<Self> {
        let cost = cost(data);
        let fits = self.shared.held.fetch_add(cost, Relaxed).saturating_add(cost) <= self.limit;
        // A piece is part of a larger buffer, which it would keep from being used again.
        match fits.then(|| self.bodies.hold_piece(data)).flatten() {
            Some(copied) => self.pass(Piece::Data(copied)),
            None => {
                self.shared.lost.store(true, Relaxed);
                None
            }
        }
    }

    fn frame(self, frame: &Frame<Bytes>) -> Option<Self> {
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) if !data.is_empty() => self.data(data),
            (None, Some(trailers)) => self.pass(Piece::Trailers(trailers.clone())),
            _ => Some(self),
        }
    }
}

fn cost(data: &[u8]) -> usize {
    data.len().saturating_add(PIECE)
}

impl HttpBody for Original {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        let frame = ready!(Pin::new(&mut me.inner).poll_frame(cx));
        let copying = me.copying.take();
        me.copying = match &frame {
            Some(Ok(frame)) => copying.and_then(|copying| copying.frame(frame)),
            // What breaks off here breaks off there.
            Some(Err(_)) => None,
            None => copying.and_then(|copying| copying.pass(Piece::End)),
        };
        // One that has ended need not be asked again.
        if me.inner.is_end_stream() {
            me.copying.take().map(|copying| copying.pass(Piece::End));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct Copy {
    received: UnboundedReceiver<Piece>,
    shared: Arc<Shared>,
    /// Bytes to come, if the original knows.
    left: Option<u64>,
    ended: bool,
}

impl HttpBody for Copy {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        if me.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(me.received.poll_recv(cx)) {
            Some(Piece::Data(data)) => {
                me.shared.held.fetch_sub(cost(&data), Relaxed);
                me.left = me.left.map(|left| left.saturating_sub(data.len() as u64));
                Some(Ok(Frame::data(data)))
            }
            Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Piece::End) => {
                me.ended = true;
                None
            }
            None => {
                me.ended = true;
                Some(Err(BodyError::Incomplete))
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod unit {
    use futures_util::{FutureExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;
    use crate::plugin::bodies::Room;

    fn pieces(pieces: Vec<Result<Frame<Bytes>, BodyError>>) -> Body {
        Body::stream(StreamBody::new(stream::iter(pieces)))
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, BodyError> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    /// Room for `bytes` in so many pieces.
    fn room(bytes: usize, pieces: usize) -> usize {
        bytes + pieces * PIECE
    }

    #[test]
    fn both_get_all_of_it() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "t".parse().unwrap())]);
        let body = pieces(vec![data("ab"), data("c"), Ok(Frame::trailers(trailers))]);
        let (original, copy, shared) = tee(body, room(3, 2), Bodies::default());
        for body in [original, copy] {
            let whole = body.collect().now_or_never().unwrap().unwrap();
            assert_eq!((whole.trailers().is_some(), whole.to_bytes()), (true, "abc".into()));
        }
        assert!(!shared.is_lost());
    }

    #[test]
    fn a_slow_copy_breaks_off_and_the_original_does_not() {
        let (original, mut copy, shared) =
            tee(pieces(vec![data("ab"), data("cd"), data("e")]), room(3, 2), Bodies::default());
        assert_eq!(original.collect().now_or_never().unwrap().unwrap().to_bytes(), "abcde");
        assert!(shared.is_lost());
        assert_eq!(copy.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(matches!(copy.frame().now_or_never().unwrap(), Some(Err(BodyError::Incomplete))));
        assert!(copy.frame().now_or_never().unwrap().is_none());
    }

    #[test]
    fn a_copy_that_keeps_up_may_be_long() {
        let (mut original, mut copy, shared) =
            tee(pieces((0..100).map(|_| data("abc")).collect()), room(3, 1), Bodies::default());
        for _ in 0..100 {
            assert!(original.frame().now_or_never().unwrap().is_some());
            assert_eq!(copy.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap(), "abc");
        }
        assert!(original.frame().now_or_never().unwrap().is_none() && copy.frame().now_or_never().unwrap().is_none());
        assert!(!shared.is_lost());
    }

    #[test]
    fn what_ends_early_or_is_never_read_ends_the_copy() {
        let (original, copy, _) = tee(pieces(vec![data("ab"), Err(BodyError::Timeout)]), 999, Bodies::default());
        assert!(original.collect().now_or_never().unwrap().is_err());
        assert!(copy.collect().now_or_never().unwrap().is_err());
        let (original, copy, shared) = tee(pieces(vec![data("ab")]), 999, Bodies::default());
        drop(original);
        assert!(copy.collect().now_or_never().unwrap().is_err());
        assert!(!shared.is_lost());
    }

    #[test]
    fn an_original_is_not_held_up_by_a_copy_that_is_gone() {
        let (original, copy, _) = tee(pieces(vec![data("ab"), data("c")]), 999, Bodies::default());
        drop(copy);
        assert_eq!(original.collect().now_or_never().unwrap().unwrap().to_bytes(), "abc");
    }

    #[test]
    fn small_pieces_count_with_what_they_cost() {
        let drip = || pieces((0..100).map(|_| data("a")).chain((0..100).map(|_| data(""))).collect());
        let (original, copy, shared) = tee(drip(), room(100, 99), Bodies::default());
        assert_eq!(original.collect().now_or_never().unwrap().unwrap().to_bytes().len(), 100);
        assert!(shared.is_lost() && copy.collect().now_or_never().unwrap().is_err());
        let (original, copy, shared) = tee(drip(), room(100, 100), Bodies::default());
        assert!(original.collect().now_or_never().unwrap().is_ok());
        assert_eq!(copy.collect().now_or_never().unwrap().unwrap().to_bytes().len(), 100, "empty pieces cost nothing");
        assert!(!shared.is_lost());
    }

    #[test]
    fn sec_lim_04_what_is_held_counts_with_the_bodies_of_all_plugins() {
        let room = Arc::new(Room::new(room(4, 2) as u64));
        let bodies = Bodies::new(Arc::clone(&room), &crate::model::Limits::default());
        let (original, copy, shared) = tee(pieces(vec![data("ab"), data("cd"), data("e")]), 9999, bodies);
        assert_eq!(original.collect().now_or_never().unwrap().unwrap().to_bytes(), "abcde");
        assert!(shared.is_lost() && room.taken() > 0);
        drop(copy);
        assert_eq!(room.taken(), 0);
    }
}
