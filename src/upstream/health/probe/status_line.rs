//! The first line of an answer, the only one that a probe reads.
use http::StatusCode;

/// The longest line, in bytes (security.md HC-02).
const LONGEST: usize = 8 * 1024;
/// `HTTP/1.1 200` and what stands behind it.
const NEEDED: usize = 13;

/// Reads a status line as its bytes come.
#[derive(Debug, Default)]
pub(super) struct StatusLine {
    begin: [u8; NEEDED],
    seen: usize,
}

/// The answer begins with no status line of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl StatusLine {
    /// Takes more of the answer. Gives the status once the line is there.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<Result<StatusCode, Malformed>> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let line = bytes.get(..end.map_or(bytes.len(), |end| end + 1)).unwrap_or_default();
        if let Some(room) = self.begin.get_mut(self.seen..) {
            room.iter_mut().zip(line).for_each(|(room, byte)| *room = *byte);
        }
        self.seen = self.seen.saturating_add(line.len());
        if self.seen > LONGEST {
            return Some(Err(Malformed));
        }
        end.map(|_| self.status().ok_or(Malformed))
    }

    fn status(&self) -> Option<StatusCode> {
        // What was not filled is zero, thus neither a digit nor one of the ends.
        let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9', b' ', code @ .., b' ' | b'\r' | b'\n'] =
            &self.begin
        else {
            return None;
        };
        StatusCode::from_bytes(code).ok().filter(|status| !status.is_informational())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Option<Result<u16, Malformed>> {
        StatusLine::default().feed(text).map(|status| status.map(|status| status.as_u16()))
    }

    #[test]
    fn status_lines() {
        for (line, status) in [
            ("HTTP/1.1 200 OK\r\nrest", Some(Ok(200))),
            ("HTTP/1.0 503\r\n", Some(Ok(503))),
            ("HTTP/1.1 404\n", Some(Ok(404))),
            ("HTTP/1.1 999 ?\r\n", Some(Ok(999))),
            ("HTTP/1.1 200 O", None),
            ("", None),
            // An interim answer is no answer (HC-02).
            ("HTTP/1.1 100 Continue\r\n", Some(Err(Malformed))),
            ("HTTP/1.1 101 Switching Protocols\r\n", Some(Err(Malformed))),
            ("HTTP/2.0 200 OK\r\n", Some(Err(Malformed))),
            ("HTTP/1.1 2000 OK\r\n", Some(Err(Malformed))),
            ("HTTP/1.1 20\r\n", Some(Err(Malformed))),
            ("HTTP/1.1  200 OK\r\n", Some(Err(Malformed))),
            ("HTTP/1.1 099 OK\r\n", Some(Err(Malformed))),
            ("http/1.1 200 OK\r\n", Some(Err(Malformed))),
            ("SSH-2.0-OpenSSH_9.2\r\n", Some(Err(Malformed))),
            ("\r\n", Some(Err(Malformed))),
            ("\n", Some(Err(Malformed))),
        ] {
            assert_eq!(read(line.as_bytes()), status, "{line:?}");
        }
    }

    #[test]
    fn sec_hc_02_a_line_without_end_is_left() {
        let mut line = StatusLine::default();
        let fed = (0..).map(|_| line.feed(b"HTTP/1.1 200 OK ")).position(|status| status == Some(Err(Malformed)));
        assert_eq!(fed, Some(LONGEST / 16));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_bytes_come(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "HTTP/1\\.[01] [1-6][0-9]{1,2}[ \r]?[a-z]{0,10}\r?\n.{0,9}".prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(1usize..8, 0..40),
        ) {
            let (mut line, mut rest, mut found) = (StatusLine::default(), &text[..], None);
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (bytes, behind) = rest.split_at(cut.min(rest.len()));
                found = found.or(line.feed(bytes));
                rest = behind;
                if found.is_some() {
                    break;
                }
            }
            prop_assert_eq!(found.map(|status| status.map(|status| status.as_u16())), read(&text));
        }
    }
}
