//! One pass over a head's line ends: where it stops, and which rule that httparse does not know it breaks first.
use std::mem::MaybeUninit;

use super::HeadLimits;

/// What one pass over the line ends tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) extent: Extent,
    /// Field lines seen, also an unfinished one.
    pub(super) lines: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// The head is the first so many bytes.
    Complete(usize),
    /// More input is needed.
    Open,
    /// A rule is broken at this offset. What stands before it is still judged first, so that the verdict on a prefix
    /// is the verdict on the whole.
    Broken(usize, Break),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    BareLf,
    EmptyLine,
    FirstLine,
    Fields,
}

/// Length of a line end.
const CRLF: usize = 2;

/// Scans `input`; `skip_empty` lets one empty line stand before the first (H1-10).
pub(super) fn scan(input: &[u8], limits: &HeadLimits, skip_empty: bool) -> Scan {
    let mut state =
        State { input, limits, start: 0, fields_from: None, lines: 0, may_skip: skip_empty, skipped: false };
    for lf in memchr::memchr_iter(b'\n', input) {
        if let Some(extent) = state.line(lf) {
            return Scan { extent, lines: state.lines };
        }
    }
    let extent = match state.excess(input.len()) {
        Some((at, broken)) => Extent::Broken(at, broken),
        None => Extent::Open,
    };
    Scan { extent, lines: state.lines.saturating_add(1) }
}

struct State<'a> {
    input: &'a [u8],
    limits: &'a HeadLimits,
    /// Where the line at hand begins.
    start: usize,
    /// Where the field lines begin, once the first line is over.
    fields_from: Option<usize>,
    lines: usize,
    may_skip: bool,
    skipped: bool,
}

impl State<'_> {
    /// Judges the line that ends with the LF at `lf`.
    fn line(&mut self, lf: usize) -> Option<Extent> {
        if let Some((at, broken)) = self.excess(lf) {
            return Some(Extent::Broken(at, broken));
        }
        let before = if lf > self.start { self.input.get(lf - 1) } else { None };
        let crlf = before == Some(&b'\r');
        if !crlf && !self.limits.allow_bare_lf {
            return Some(Extent::Broken(lf, Break::BareLf));
        }
        let empty = lf - self.start == usize::from(crlf);
        self.start = lf + 1;
        match (self.fields_from, empty) {
            (None, false) => self.fields_from = Some(self.start),
            (None, true) if self.may_skip && !self.skipped => self.skipped = true,
            (None, true) => return Some(Extent::Broken(lf, Break::EmptyLine)),
            (Some(_), true) => return Some(Extent::Complete(self.start)),
            (Some(_), false) => {
                self.lines += 1;
                if self.lines > self.limits.header_count {
                    return Some(Extent::Broken(lf, Break::Fields));
                }
            }
        }
        None
    }

    /// Whether the line at hand, known to reach up to `lf` at least, is over a limit, and where it becomes so.
    fn excess(&self, lf: usize) -> Option<(usize, Break)> {
        let (limit, broken) = match self.fields_from {
            None => (self.limits.request_line_bytes, Break::FirstLine),
            Some(_) => (self.limits.field_bytes, Break::Fields),
        };
        let mut end = self.start.saturating_add(limit).saturating_add(CRLF);
        if let Some(from) = self.fields_from {
            end = end.min(from.saturating_add(self.limits.header_bytes).saturating_add(CRLF));
        }
        (lf >= end).then_some((end, broken))
    }
}

/// Whether a head that httparse took whole, `used` bytes with `fields`, is one that [`scan`] finds complete: every line
/// ends in CRLF and all are within the limits. False decides nothing.
///
/// It looks at the ends of the lines only, where `scan` has to look for them.
pub(super) fn is_within(input: &[u8], used: usize, fields: &[httparse::Header<'_>], limits: &HeadLimits) -> bool {
    let ends_at = |end: usize| end.checked_sub(CRLF).and_then(|cr| input.get(cr..end)) == Some(b"\r\n");
    let place = |field: &httparse::Header<'_>| field.name.as_ptr().addr().wrapping_sub(input.as_ptr().addr());
    let Some(last) = used.checked_sub(CRLF) else { return false };
    let fields_from = fields.first().map_or(last, place);
    let begins = matches!(input.first(), Some(byte) if !matches!(byte, b'\r' | b'\n'));
    let mut within = begins
        && fields.len() <= limits.header_count
        && ends_at(used)
        && ends_at(fields_from)
        && fields_from <= limits.request_line_bytes.saturating_add(CRLF)
        && used <= fields_from.saturating_add(limits.header_bytes).saturating_add(CRLF);
    let mut start = fields_from;
    for end in fields.iter().skip(1).map(place).chain(fields.last().map(|_| last)) {
        within = within && ends_at(end) && end <= start.saturating_add(limits.field_bytes).saturating_add(CRLF);
        start = end;
    }
    within
}

/// Where the head at the front of `input` ends, if it is complete and within the limits.
///
/// Lets a reader copy the head out of a large piece before it is parsed.
pub fn head_end(input: &[u8], limits: &HeadLimits) -> Option<usize> {
    match scan(input, limits, true).extent {
        Extent::Complete(end) => Some(end),
        _ => None,
    }
}

/// Fields of a usual head, at most.
pub(super) const USUAL: usize = 48;

/// Room for the fields that httparse finds; that of a usual head is on the stack.
pub(super) fn with_slots<'b, R>(lines: usize, parse: impl FnOnce(&mut [MaybeUninit<httparse::Header<'b>>]) -> R) -> R {
    if lines <= USUAL {
        return parse(&mut [const { MaybeUninit::uninit() }; USUAL]);
    }
    let mut slots = Vec::new();
    slots.resize_with(lines, MaybeUninit::uninit);
    parse(&mut slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(input: &[u8]) -> Extent {
        let mut limits = HeadLimits::request();
        (limits.request_line_bytes, limits.field_bytes, limits.header_bytes, limits.header_count) = (10, 6, 20, 3);
        scan(input, &limits, true).extent
    }

    #[test]
    fn finds_the_end_and_no_more() {
        assert_eq!(extent(b"GET /\r\na:b\r\n\r\nbody\n"), Extent::Complete(14));
        assert_eq!(extent(b"\r\nGET /\r\n\r\n"), Extent::Complete(11));
        assert_eq!(extent(b"GET /\r\na:b\r\n\r"), Extent::Open);
        assert_eq!(extent(b""), Extent::Open);
    }

    #[test]
    fn names_the_first_break() {
        assert_eq!(extent(b"GET /\n"), Extent::Broken(5, Break::BareLf));
        assert_eq!(extent(b"\r\n\r\nGET"), Extent::Broken(3, Break::EmptyLine));
        assert_eq!(extent(b"0123456789\r\n"), Extent::Open);
        assert_eq!(extent(b"0123456789a\r\n"), Extent::Broken(12, Break::FirstLine));
        assert_eq!(extent(b"0123456789a\r"), Extent::Broken(12, Break::FirstLine));
        assert_eq!(extent(b"0123456789a"), Extent::Open);
        assert_eq!(extent(b"0123456789abc"), Extent::Broken(12, Break::FirstLine));
        assert_eq!(extent(b"G\r\na:34567\r\n"), Extent::Broken(11, Break::Fields));
        assert_eq!(extent(b"G\r\na:\r\na:\r\na:\r\na:\r\n"), Extent::Broken(18, Break::Fields));
        assert_eq!(extent(b"G\r\na:3456\r\na:3456\r\na:3\r\n"), Extent::Open);
        assert_eq!(extent(b"G\r\na:3456\r\na:3456\r\na:345\r\n"), Extent::Broken(25, Break::Fields));
    }

    proptest::proptest! {
        #[test]
        fn the_short_look_agrees_with_the_long_one(
            pieces in proptest::collection::vec(0usize..12, 0..24),
            request_line_bytes in 10usize..40, field_bytes in 2usize..12, header_bytes in 4usize..60, header_count in 0usize..8,
        ) {
            const PIECES: [&str; 12] =
                ["\r\n", "\r\n", "\r\n", "a:b", "abc: defg", "c:", "\n", "\r", " ", "x", "\r\n\r\n", "GET / HTTP/1.1\r\n"];
            let text: String = std::iter::once("GET / HTTP/1.1\r\n")
                .chain(pieces.into_iter().filter_map(|piece| PIECES.get(piece).copied()))
                .collect();
            let mut limits = HeadLimits::request();
            limits.request_line_bytes = request_line_bytes;
            limits.field_bytes = field_bytes;
            (limits.header_bytes, limits.header_count) = (header_bytes, header_count);
            let input = text.as_bytes();
            with_slots(USUAL, |slots| {
                let mut raw = httparse::Request::new(&mut []);
                if let Ok(httparse::Status::Complete(used)) = raw.parse_with_uninit_headers(input, slots) {
                    let complete = scan(input, &limits, true).extent == Extent::Complete(used);
                    assert_eq!(is_within(input, used, raw.headers, &limits), complete, "{text:?}");
                }
            });
        }
    }
}
