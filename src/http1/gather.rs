//! Heads that come in pieces.
use bytes::{Bytes, BytesMut};

/// Adds the next piece to what is there of a head, and tells whether parsing again can tell more.
///
/// Only a line end can complete a head, so a head that drips in byte by byte is not parsed for each of them; the room
/// grows by doubling, so nothing is copied over and over.
pub fn gather(carry: &mut Bytes, piece: &Bytes) -> bool {
    /// A head without a line end is looked at again this often, for the limits.
    const STEP: usize = 4096;
    if carry.is_empty() {
        // A piece of the shared read chunk must not be held while the rest is slow to come.
        *carry = Bytes::copy_from_slice(piece);
        return true;
    }
    let before = carry.len();
    let mut room = match std::mem::take(carry).try_into_mut() {
        Ok(room) => room,
        Err(shared) => BytesMut::from(&shared[..]),
    };
    room.extend_from_slice(piece);
    *carry = room.freeze();
    memchr::memchr(b'\n', piece).is_some() || before / STEP != carry.len() / STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_again_at_line_ends_and_now_and_then() {
        let mut carry = Bytes::new();
        assert!(gather(&mut carry, &Bytes::from_static(b"GET /")));
        assert!(!gather(&mut carry, &Bytes::from_static(b" HTTP/1.1\r")));
        assert!(gather(&mut carry, &Bytes::from_static(b"\n")));
        assert_eq!(carry, "GET / HTTP/1.1\r\n");
        assert!(gather(&mut carry, &Bytes::from(vec![b'a'; 4096])));
    }
}
