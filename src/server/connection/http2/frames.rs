//! Finds the heads of frames in a stream of bytes (RFC 9113 §4.1), however it is cut. Payloads are skipped unread.

/// Bytes of a frame's head.
const HEAD: usize = 9;
/// Bytes of a head and an error code behind it.
const RESET: usize = HEAD + 4;
/// Bytes of a head and the byte behind it that tells the padding.
const PADDED_HEAD: usize = HEAD + 1;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the payload.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The error code of an `RST_STREAM`; else 0.
    pub(super) code: u32,
    /// Bytes of padding of a `DATA`, without the byte that tells them; else 0.
    pub(super) padding: u8,
}

impl Head {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const PING: u8 = 6;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;

    /// `END_STREAM` of `DATA` and `HEADERS`, `ACK` of `PING` and of settings.
    pub(super) const FIRST_FLAG: u8 = 1;
    const END_HEADERS: u8 = 4;
    const PADDED: u8 = 8;

    /// Whether it ends a block of fields.
    pub(super) fn ends_headers(&self) -> bool {
        self.flags & Self::END_HEADERS != 0
    }

    /// Whether a `DATA` has nothing in it, or nothing but padding.
    pub(super) fn is_empty(&self) -> bool {
        let around = if self.flags & Self::PADDED != 0 { 1 + u32::from(self.padding) } else { 0 };
        self.length <= around
    }

    fn parse(bytes: &[u8; RESET], known: usize) -> Self {
        let [a, b, c, kind, flags, _, _, _, _, code @ ..] = *bytes;
        let padding = if known == PADDED_HEAD { code[0] } else { 0 };
        let code = if known == RESET { u32::from_be_bytes(code) } else { 0 };
        Self { length: u32::from_be_bytes([0, a, b, c]), kind, flags, code, padding }
    }

    /// How many bytes are to be known of a frame that begins so.
    fn wanted(bytes: &[u8; RESET]) -> usize {
        match *bytes {
            [0, 0, 4, Self::RST_STREAM, ..] => RESET,
            [a, b, c, Self::DATA, flags, ..] if flags & Self::PADDED != 0 && [a, b, c] != [0; 3] => PADDED_HEAD,
            _ => HEAD,
        }
    }
}

/// Where in a frame the stream of bytes is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What is known of a head that is not complete.
    part: [u8; RESET],
    known: u8,
    /// Bytes of a payload that are still to come.
    skip: u32,
}

impl Frames {
    /// A stream of frames behind so many bytes of something else.
    pub(super) fn behind(bytes: usize) -> Self {
        Self { skip: u32::try_from(bytes).unwrap_or(u32::MAX), ..Self::default() }
    }

    /// Whether the bytes so far end with a whole frame.
    pub(super) fn is_between(&self) -> bool {
        self.known == 0 && self.skip == 0
    }

    /// Reads on, and shows each head once it is complete.
    pub(super) fn scan(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Head)) {
        loop {
            let skipped = (self.skip as usize).min(bytes.len());
            // So many fit: it is at most `skip`.
            self.skip -= skipped as u32;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let known = usize::from(self.known);
            let wanted = if known < HEAD { HEAD } else { Head::wanted(&self.part) };
            let taken = (wanted - known).min(bytes.len());
            let (now, rest) = bytes.split_at(taken);
            if let Some(place) = self.part.get_mut(known..known + taken) {
                place.copy_from_slice(now);
            }
            bytes = rest;
            let known = known + taken;
            if known < HEAD || known < Head::wanted(&self.part) {
                self.known = known as u8;
                continue;
            }
            let head = Head::parse(&self.part, known);
            self.known = 0;
            self.skip = head.length - (known - HEAD) as u32;
            seen(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(head: Head) -> Vec<u8> {
        let [_, a, b, c] = head.length.to_be_bytes();
        let mut bytes = vec![a, b, c, head.kind, head.flags, 0, 0, 0, 1];
        bytes.resize(HEAD + head.length as usize, 0xff);
        if head.kind == Head::RST_STREAM && head.length == 4 {
            bytes[HEAD..].copy_from_slice(&head.code.to_be_bytes());
        }
        if head.kind == Head::DATA && head.flags & Head::PADDED != 0 && head.length > 0 {
            bytes[HEAD] = head.padding;
        }
        bytes
    }

    proptest! {
        #[test]
        fn heads_are_found_however_the_bytes_are_cut(
            frames in proptest::collection::vec((0_u32..40, 0_u8..12, any::<u8>(), any::<u32>()), 0..30),
            sizes in proptest::collection::vec(1_usize..50, 1..20),
            before in 0_usize..30,
        ) {
            let frames: Vec<_> = frames.into_iter().map(|(length, kind, flags, code)| {
                let code = if kind == Head::RST_STREAM && length == 4 { code } else { 0 };
                let is_padded = kind == Head::DATA && flags & Head::PADDED != 0 && length > 0;
                let padding = if is_padded { before as u8 } else { 0 };
                Head { length, kind, flags, code, padding }
            }).collect();
            let mut bytes = vec![0xaa; before];
            frames.iter().for_each(|head| bytes.extend(encode(*head)));
            let (mut state, mut found, mut rest) = (Frames::behind(before), Vec::new(), &bytes[..]);
            for size in sizes.iter().cycle() {
                let (now, later) = rest.split_at((*size).min(rest.len()));
                state.scan(now, |head| found.push(head));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(state.is_between());
            prop_assert_eq!(found, frames);
        }
    }

    #[test]
    fn a_part_of_a_frame_is_told() {
        let bytes = encode(Head { length: 4, kind: Head::RST_STREAM, flags: 0, code: 7, padding: 0 });
        let mut state = Frames::default();
        state.scan(&bytes[..12], |_| panic!("the code is not known yet"));
        assert!(!state.is_between());
        let mut codes = Vec::new();
        state.scan(&bytes[12..], |head| codes.push(head.code));
        assert_eq!(codes, [7]);
        assert!(state.is_between());
    }
}
