//! The body of a kept answer.
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::disk::{FileBody, OnDisk};
use super::held::Held;
use crate::{Body, BodyError};

/// The body of a kept answer. A clone shares it.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Whole(Bytes),
    Pieces(Arc<Pieces>),
    File(Arc<OnDisk>),
}

/// A body that lies in pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) list: Box<[Bytes]>,
    pub(super) length: u64,
    /// Counts it for as long as anybody reads it, in its zone or not.
    pub(super) _held: Held,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Pieces(pieces) => pieces.length,
            Self::File(file) => file.len(),
        }
    }

    /// These bytes of it, which must be some of it.
    pub(super) fn body(&self, range: Range<u64>) -> Body {
        if range.start >= range.end || range.end > self.len() {
            return Body::empty();
        }
        match self {
            Self::Whole(bytes) => {
                let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(at(range.start)..at(range.end)).into()
            }
            Self::Pieces(pieces) => {
                let (mut index, mut skip) = (0, range.start);
                let length = |index: usize| pieces.list.get(index).map(|piece| piece.len() as u64);
                while let Some(length) = length(index).filter(|length| *length <= skip) {
                    skip -= length;
                    index += 1;
                }
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                Body::stream(PiecesBody { pieces: Arc::clone(pieces), index, skip, left: range.end - range.start })
            }
            Self::File(file) => Body::stream(FileBody::new(Arc::clone(file), range)),
        }
    }
}

/// A part of a body that lies in pieces.
struct PiecesBody {
    pieces: Arc<Pieces>,
    index: usize,
    /// Bytes of the next piece that are not asked for.
    skip: usize,
    left: u64,
}

impl HttpBody for PiecesBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let Some(piece) = self.pieces.list.get(self.index) else {
            return Poll::Ready(Some(Err(BodyError::Incomplete)));
        };
        let from = self.skip.min(piece.len());
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len() - from);
        let data = piece.slice(from..from + length);
        self.index += 1;
        self.skip = 0;
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_range_of_pieces_is_what_it_is_of_the_whole() {
        let whole = b"abcdefghij";
        let list = [&whole[..3], &whole[3..4], &whole[4..10]].map(Bytes::copy_from_slice).into();
        let pieces = Pieces { list, length: 10, _held: Held::default() };
        let (pieces, one) = (Content::Pieces(Arc::new(pieces)), Content::Whole(Bytes::from_static(whole)));
        for start in 0..=10_u64 {
            for end in start..=11 {
                for content in [&pieces, &one] {
                    let body = content.body(start..end).buffer(99).await.unwrap();
                    let wanted = if end > 10 { &[][..] } else { &whole[start as usize..end as usize] };
                    assert_eq!(body, wanted, "{start}..{end}");
                }
            }
        }
    }
}
