//! Length-prefixed messages out of a stream of bytes (gRPC over HTTP/2, "Length-Prefixed-Message").
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::grpc::MessageHead;

/// Cuts a stream into messages. It holds no more than one of them, and what came behind it in the same piece.
#[derive(Debug)]
pub(super) struct Messages {
    waiting: BytesMut,
    longest: usize,
}

/// What is no message, or none that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageFault {
    #[error("a message is longer than it may be")]
    TooLong,
    #[error("a message is compressed, which was not asked for")]
    Compressed,
    #[error("what came is no frame of a message")]
    Malformed,
}

impl Messages {
    pub(super) fn new(longest: usize) -> Self {
        Self { waiting: BytesMut::new(), longest }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.waiting.extend_from_slice(piece);
    }

    /// The next message that is whole.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, MessageFault> {
        let Some(head) = self.waiting.first_chunk() else { return Ok(None) };
        let head = MessageHead::read(*head).ok_or(MessageFault::Malformed)?;
        if head.compressed {
            return Err(MessageFault::Compressed);
        }
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        if length > self.longest {
            return Err(MessageFault::TooLong);
        }
        if self.waiting.len() - MessageHead::SIZE < length {
            return Ok(None);
        }
        self.waiting.advance(MessageHead::SIZE);
        Ok(Some(self.waiting.split_to(length).freeze()))
    }

    /// Whether it stands at the end of a message.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// A message with its head.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let head = MessageHead { compressed: false, length: u32::try_from(message.len()).unwrap_or(u32::MAX) };
    let mut framed = BytesMut::with_capacity(MessageHead::SIZE + message.len());
    framed.put_slice(&head.write());
    framed.put_slice(message);
    framed.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_message_is_told() {
        for (bytes, fault) in [
            (&b"\x01\0\0\0\0"[..], MessageFault::Compressed),
            (b"\x80\0\0\0\0", MessageFault::Malformed),
            (b"{\"a\":1}", MessageFault::Malformed),
            (b"\0\0\0\0\x04", MessageFault::TooLong),
            (b"\0\xff\xff\xff\xff", MessageFault::TooLong),
        ] {
            let mut messages = Messages::new(3);
            messages.push(bytes);
            assert_eq!(messages.next(), Err(fault), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn messages_come_out_whatever_the_pieces(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..8),
            sizes in prop::collection::vec(1usize..50, 1..60),
        ) {
            let whole: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
            let (mut messages, mut read) = (Messages::new(100), Vec::new());
            let (mut at, mut sizes) = (0, sizes.iter().cycle());
            while at < whole.len() {
                let next = (at + sizes.next().unwrap()).min(whole.len());
                messages.push(&whole[at..next]);
                at = next;
                while let Some(message) = messages.next().unwrap() {
                    read.push(message.to_vec());
                }
            }
            prop_assert!(messages.is_empty());
            prop_assert_eq!(read, sent);
        }
    }
}
