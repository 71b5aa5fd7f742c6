//! Pieces of a body, as bytes in a row.
use bytes::{Bytes, BytesMut};

/// Joins pieces as they come: the first one is kept as it is, which is all that most bodies have; of more than one
/// nothing is kept but their bytes, so that many small ones hold no more memory than a large one.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    first: Bytes,
    joined: BytesMut,
}

impl Pieces {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn pieces_stand_in_a_row_and_their_buffers_are_let_go() {
        /// A buffer that somebody counts.
        struct Buffer(#[expect(dead_code, reason = "counted")] Arc<()>);
        impl AsRef<[u8]> for Buffer {
            fn as_ref(&self) -> &[u8] {
                b"abcdefgh"
            }
        }
        let held = Arc::new(());
        let mut pieces = Pieces::default();
        for at in 0..8 {
            let buffer = Bytes::from_owner(Buffer(Arc::clone(&held)));
            pieces.push(buffer.slice(at..=at));
            pieces.push(Bytes::new());
            assert_eq!(pieces.len(), at + 1);
        }
        assert_eq!(Arc::strong_count(&held), 1, "a piece keeps its buffer");
        assert_eq!(pieces.into_bytes(), "abcdefgh");
        assert_eq!(Pieces::default().into_bytes(), "");
    }
}
