//! Just enough of WebSocket framing (RFC 6455 §5.2) to say goodbye between two frames.

/// Follows the frames of one direction and tells whether one is under way.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: Head,
    /// Bytes of the frame that are still to come.
    payload: u64,
}

/// What was read of a frame's head.
#[derive(Debug, Default)]
struct Head {
    bytes: u8,
    masked: bool,
    /// Bytes of the extended length that are still to come.
    length_bytes: u8,
    length: u64,
}

/// Status 1001, "going away" (RFC 6455 §7.4.1), from the server's side.
pub(super) const GOODBYE: &[u8] = &[0x88, 0x02, 0x03, 0xe9];
/// The same from the client's side, which has to mask; any mask will do.
pub(super) const GOODBYE_MASKED: &[u8] = &[0x88, 0x82, 0x5a, 0xa5, 0x3c, 0xc3, 0x03 ^ 0x5a, 0xe9 ^ 0xa5];

impl Frames {
    /// Whether the bytes so far end with a whole frame.
    pub(super) fn at_boundary(&self) -> bool {
        self.payload == 0 && self.head.bytes == 0
    }

    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let count = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= count as u64;
                bytes = bytes.get(count..).unwrap_or_default();
                continue;
            }
            bytes = rest;
            self.head_byte(*byte);
        }
    }

    fn head_byte(&mut self, byte: u8) {
        let head = &mut self.head;
        match head.bytes {
            0 => {}
            1 => {
                head.masked = byte & 0x80 != 0;
                (head.length_bytes, head.length) = match byte & 0x7f {
                    126 => (2, 0),
                    127 => (8, 0),
                    length => (0, u64::from(length)),
                };
            }
            _ => {
                head.length = head.length << 8 | u64::from(byte);
                head.length_bytes = head.length_bytes.saturating_sub(1);
            }
        }
        head.bytes += 1;
        if head.bytes >= 2 && head.length_bytes == 0 {
            // The mask is part of what is skipped.
            self.payload = head.length.saturating_add(if head.masked { 4 } else { 0 });
            self.head = Head::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut() {
        let long = [&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4][..], &[7; 65_536]].concat();
        let frames: [&[u8]; 6] = [
            &[0x81, 0x00],
            &[0x81, 0x03, b'a', b'b', b'c'],
            &[0x81, 0x81, 1, 2, 3, 4, b'a'],
            &[&[0x82, 126, 0, 200][..], &[9; 200]].concat(),
            &long,
            GOODBYE_MASKED,
        ];
        for size in [1, 2, 3, 7, 100_000] {
            let mut state = Frames::default();
            for frame in frames {
                for (index, piece) in frame.chunks(size).enumerate() {
                    state.advance(piece);
                    let whole = (index + 1) * size >= frame.len();
                    assert_eq!(state.at_boundary(), whole, "{size} {index}");
                }
            }
        }
    }
}
