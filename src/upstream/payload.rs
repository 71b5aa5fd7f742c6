//! The body of a request over its attempts.
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{Body, BodyError};

/// A request body that may be asked for more than once.
#[derive(Debug)]
pub(crate) enum Payload {
    /// At hand, or empty: each attempt gets it.
    Bytes(Bytes),
    /// A stream of which nothing has been taken.
    Stream(Body),
    /// A stream that is written down while an attempt takes it.
    Taped(Arc<Mutex<Tape>>),
    /// Gone with an attempt.
    Spent,
}

impl Payload {
    pub(crate) fn new(body: Body) -> Self {
        match body.into_bytes() {
            Ok(bytes) => Self::Bytes(bytes),
            Err(stream) => Self::Stream(stream),
        }
    }

    /// The body for an attempt; `None` when an earlier one used it up, and never less than all of it. What an earlier
    /// attempt has not taken it does not get any more.
    ///
    /// Up to `replay_bytes` stay for another attempt: of a body at hand always, of a stream with `record`, for as long as
    /// no more was taken of it (security.md RET-03).
    pub(crate) fn take(&mut self, replay_bytes: usize, record: bool) -> Option<Body> {
        match std::mem::replace(self, Self::Spent) {
            Self::Bytes(bytes) => {
                if bytes.len() <= replay_bytes {
                    *self = Self::Bytes(bytes.clone());
                }
                Some(bytes.into())
            }
            Self::Stream(body) if record && body.size_hint().lower() <= replay_bytes as u64 && replay_bytes > 0 => {
                let tape = Arc::new(Mutex::new(Tape::new(body, replay_bytes)));
                *self = Self::Taped(Arc::clone(&tape));
                Reader::begin(tape)
            }
            Self::Stream(body) => Some(body),
            Self::Taped(tape) => {
                *self = Self::Taped(Arc::clone(&tape));
                Reader::begin(tape)
            }
            Self::Spent => None,
        }
    }

    /// The same body once more, if it is at hand and no longer than `most` bytes.
    pub(crate) fn copy(&self, most: usize) -> Option<Self> {
        match self {
            Self::Bytes(bytes) if bytes.len() <= most => Some(Self::Bytes(bytes.clone())),
            _ => None,
        }
    }

    /// Brings back a body from which nothing was taken.
    #[cfg(feature = "client")]
    pub(crate) fn give_back(&mut self, body: Body) {
        if matches!(self, Self::Spent) {
            *self = Self::new(body);
        }
    }

    /// Whether another attempt can have it.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Bytes(_) | Self::Stream(_) => true,
            Self::Taped(tape) => !lock(tape).lost,
            Self::Spent => false,
        }
    }
}

/// A stream, and what was taken of it.
///
/// The record is a copy: pieces of a stream are slices of larger read buffers, and would keep all of those alive.
#[derive(Debug)]
pub(crate) struct Tape {
    rest: Body,
    record: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// Bytes that the record may have.
    limit: usize,
    /// What the whole stream was said to be.
    whole: SizeHint,
    /// Number of the reader that may read on: of an earlier attempt nothing may be taken any more.
    reader: u32,
    /// More was taken than is kept, or the stream broke: nobody can begin anew.
    lost: bool,
    /// The stream has ended; one need not bear to be asked again.
    done: bool,
}

impl Tape {
    fn new(rest: Body, limit: usize) -> Self {
        let whole = rest.size_hint();
        Self { rest, record: Vec::new(), trailers: None, limit, whole, reader: 0, lost: false, done: false }
    }

    fn lose(&mut self) {
        self.lost = true;
        self.record = Vec::new();
    }

    /// Takes note of what was taken.
    fn note(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            if self.lost || self.record.len() + data.len() > self.limit {
                self.lose();
            } else {
                self.record.extend_from_slice(data);
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
        }
    }
}

/// One attempt's view of a tape: what is on it, then the rest of the stream.
#[derive(Debug)]
struct Reader {
    tape: Arc<Mutex<Tape>>,
    number: u32,
    /// Bytes taken by this attempt.
    taken: u64,
    /// It gets no more.
    ended: bool,
}

impl Reader {
    /// `None` when the beginning of the stream is not there any more.
    fn begin(tape: Arc<Mutex<Tape>>) -> Option<Body> {
        let number = {
            let mut tape = lock(&tape);
            tape.reader = tape.reader.wrapping_add(1);
            (!tape.lost).then_some(tape.reader)?
        };
        Some(Body::stream(Self { tape, number, taken: 0, ended: false }))
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        if me.ended {
            return Poll::Ready(None);
        }
        let mut tape = lock(&me.tape);
        if tape.reader != me.number {
            return Poll::Ready(Some(Err(BodyError::Incomplete)));
        }
        // Nothing is on a tape that is lost, and this reader, being the last one, had taken it.
        let behind = usize::try_from(me.taken).ok().and_then(|taken| tape.record.get(taken..));
        if let Some(behind) = behind.filter(|behind| !behind.is_empty()) {
            let data = Bytes::copy_from_slice(behind);
            me.taken += data.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = tape.trailers.clone() {
            me.ended = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if tape.done {
            me.ended = true;
            return Poll::Ready(None);
        }
        if Arc::strong_count(&me.tape) == 1 {
            // The request was answered while its body goes on: nobody will ask for it again.
            tape.lose();
        }
        let frame = ready!(Pin::new(&mut tape.rest).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                tape.note(frame);
                me.taken += frame.data_ref().map_or(0, |data| data.len() as u64);
                me.ended = frame.is_trailers();
            }
            Some(Err(_)) => tape.lose(),
            None => {
                tape.done = true;
                me.ended = true;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let tape = lock(&self.tape);
        let caught_up = tape.lost || self.taken == tape.record.len() as u64;
        self.ended || caught_up && tape.trailers.is_none() && (tape.done || tape.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let whole = lock(&self.tape).whole.exact();
        whole.map_or_else(SizeHint::default, |whole| SizeHint::with_exact(whole.saturating_sub(self.taken)))
    }
}

/// Attempts come one after another, so nobody waits here but in the moment in which one is given up.
fn lock(tape: &Mutex<Tape>) -> MutexGuard<'_, Tape> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};
    use proptest::prelude::*;

    use super::*;

    /// A stream of these pieces, with trailers or without.
    fn streaming(pieces: Vec<Vec<u8>>, trailers: bool) -> Body {
        let mut frames: Vec<Result<_, BodyError>> =
            pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from(piece)))).collect();
        if trailers {
            frames.push(Ok(Frame::trailers(HeaderMap::from_iter([(http::header::ETAG, "t".parse().unwrap())]))));
        }
        Body::stream(StreamBody::new(stream::iter(frames)))
    }

    fn whole(body: Body) -> (Bytes, bool) {
        let whole = body.collect().now_or_never().unwrap().unwrap();
        let has_trailers = whole.trailers().is_some();
        (whole.to_bytes(), has_trailers)
    }

    #[test]
    fn an_empty_body_is_always_there_again() {
        let mut empty = Payload::new(Body::empty());
        assert!(empty.take(0, false).is_some() && empty.take(0, false).is_some());
    }

    #[test]
    fn sec_ret_03_small_bodies_are_replayed_and_large_ones_are_not() {
        let mut small = Payload::new(Body::from("abc"));
        assert_eq!(small.take(3, false).unwrap().as_bytes(), small.take(3, false).unwrap().as_bytes());
        let mut large = Payload::new(Body::from("abcd"));
        let body = large.take(3, false).unwrap();
        assert!(!large.is_there() && large.take(3, false).is_none());
        #[cfg(feature = "client")]
        large.give_back(body);
        #[cfg(feature = "client")]
        assert!(large.is_there());
    }

    #[test]
    fn sec_ret_03_a_stream_is_replayed_only_where_it_is_recorded() {
        let pieces = || vec![b"ab".to_vec(), b"c".to_vec()];
        for (limit, record, again) in [(3, true, true), (2, true, false), (0, true, false), (3, false, false)] {
            let mut payload = Payload::new(streaming(pieces(), true));
            let first = payload.take(limit, record).unwrap();
            assert_eq!(whole(first), ("abc".into(), true));
            assert_eq!(payload.is_there(), again, "{limit} {record}");
            assert_eq!(payload.take(limit, record).map(whole), again.then(|| ("abc".into(), true)));
        }
    }

    #[test]
    fn an_attempt_that_was_given_up_gets_nothing_more() {
        let mut payload = Payload::new(streaming(vec![b"ab".to_vec(), b"c".to_vec()], false));
        let mut first = payload.take(9, true).unwrap();
        assert_eq!(first.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap(), "ab");
        let second = payload.take(9, true).unwrap();
        assert!(first.frame().now_or_never().unwrap().unwrap().is_err());
        assert_eq!(whole(second), ("abc".into(), false));
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let mut payload = Payload::new(streaming(vec![b"ab".to_vec(), b"c".to_vec()], false));
        let mut body = payload.take(9, true).unwrap();
        let mut next = || body.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap();
        assert_eq!(next(), "ab");
        let Payload::Taped(tape) = payload else { panic!("not taped") };
        let watched = Arc::downgrade(&tape);
        drop(tape);
        assert_eq!(next(), "c");
        assert!(watched.upgrade().unwrap().lock().unwrap().record.is_empty());
    }

    #[test]
    fn a_stream_that_broke_is_not_there_again() {
        let frames: [Result<Frame<Bytes>, BodyError>; 2] = [Ok(Frame::data("ab".into())), Err(BodyError::Incomplete)];
        let mut payload = Payload::new(Body::stream(StreamBody::new(stream::iter(frames))));
        let body = payload.take(9, true).unwrap();
        assert!(body.collect().now_or_never().unwrap().is_err());
        assert!(!payload.is_there() && payload.take(9, true).is_none());
    }

    proptest! {
        /// However attempts end, the next one gets everything from the beginning, or nothing at all.
        #[test]
        fn every_attempt_sees_the_whole_stream(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..12),
            limit in 1usize..300,
            stops in prop::collection::vec(0usize..14, 0..5),
            trailers: bool,
        ) {
            let all: Vec<u8> = pieces.concat();
            let mut payload = Payload::new(streaming(pieces, trailers));
            for frames in stops {
                let Some(mut body) = payload.take(limit, true) else { break };
                let mut seen = Vec::new();
                for _ in 0..frames {
                    match body.frame().now_or_never().unwrap() {
                        Some(frame) => seen.extend(frame.unwrap().into_data().unwrap_or_default()),
                        None => break,
                    }
                }
                prop_assert!(all.starts_with(&seen));
                prop_assert!(!payload.is_there() || seen.len() <= limit);
            }
            if let Some(body) = payload.take(limit, true) {
                prop_assert_eq!(whole(body), (Bytes::from(all), trailers));
            }
        }
    }
}
