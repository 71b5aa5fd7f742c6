//! Where one frame ends and the next one begins.
use crate::grpc::MessageHead;

/// Follows a row of length-prefixed messages, whatever pieces it comes in.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a head, and how many of its bytes have come.
    head: [u8; MessageHead::SIZE],
    begun: usize,
    /// Bytes of a message that are still to come.
    rest: u32,
}

/// What no row of messages has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameFault {
    /// Flags other than "compressed" and "not compressed".
    Flags,
    /// A message longer than it may be.
    TooLong,
}

impl Frames {
    /// Takes the next piece; no message may be longer than `longest`.
    pub(super) fn take(&mut self, mut piece: &[u8], longest: u64) -> Result<(), FrameFault> {
        while let Some((first, behind)) = piece.split_first() {
            if self.rest > 0 {
                let count = piece.len().min(self.rest.try_into().unwrap_or(usize::MAX));
                piece = piece.get(count..).unwrap_or_default();
                self.rest -= u32::try_from(count).unwrap_or(self.rest);
                continue;
            }
            if let Some(place) = self.head.get_mut(self.begun) {
                *place = *first;
            }
            self.begun += 1;
            piece = behind;
            // What is no message is told by its first byte already: the rest of the head need not come.
            let head = MessageHead::read(self.head).ok_or(FrameFault::Flags)?;
            if self.begun == MessageHead::SIZE {
                *self = Self { rest: head.length, ..Self::default() };
                if u64::from(head.length) > longest {
                    return Err(FrameFault::TooLong);
                }
            }
        }
        Ok(())
    }

    /// Whether it stands at the end of a message, or at the beginning of all.
    pub(super) fn is_between(&self) -> bool {
        self.begun == 0 && self.rest == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(flags: u8, length: u32, bytes: usize) -> Vec<u8> {
        let mut frame = vec![flags];
        frame.extend(length.to_be_bytes());
        frame.resize(5 + bytes, 7);
        frame
    }

    #[test]
    fn what_is_no_message_is_told() {
        for (bytes, longest, told) in [
            (frame(0, 3, 3), 3, Ok(())),
            (frame(1, 0, 0), 3, Ok(())),
            (frame(0, 4, 0), 3, Err(FrameFault::TooLong)),
            (frame(0, u32::MAX, 9), 1 << 26, Err(FrameFault::TooLong)),
            (frame(0, u32::MAX, 9), u64::MAX, Ok(())),
            (frame(2, 0, 0), 3, Err(FrameFault::Flags)),
            (vec![2], 3, Err(FrameFault::Flags)),
            (frame(0x80, 3, 3), 3, Err(FrameFault::Flags)),
            ([frame(0, 1, 1), frame(0x80, 0, 0)].concat(), 3, Err(FrameFault::Flags)),
        ] {
            assert_eq!(Frames::default().take(&bytes, longest), told, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn ends_are_found_whatever_the_pieces(
            messages in prop::collection::vec(0usize..300, 0..8),
            cut in 0usize..40,
            sizes in prop::collection::vec(1usize..50, 1..60),
        ) {
            let whole: Vec<u8> = messages.iter().flat_map(|bytes| frame(0, *bytes as u32, *bytes)).collect();
            let ends: Vec<usize> = messages.iter().scan(0, |at, bytes| { *at += 5 + bytes; Some(*at) }).collect();
            let sent = &whole[..whole.len().saturating_sub(cut)];
            let mut frames = Frames::default();
            let (mut at, mut sizes) = (0, sizes.iter().cycle());
            while at < sent.len() {
                let next = (at + sizes.next().unwrap()).min(sent.len());
                prop_assert_eq!(frames.take(&sent[at..next], 300), Ok(()));
                at = next;
                prop_assert_eq!(frames.is_between(), ends.contains(&at));
            }
        }
    }
}
