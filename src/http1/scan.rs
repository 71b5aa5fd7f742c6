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

/// Where the head at the front of `input` ends, if it is complete and within the limits.
///
/// Lets a reader copy the head out of a large piece before it is parsed.
pub fn head_end(input: &[u8], limits: &HeadLimits) -> Option<usize> {
    match scan(input, limits, true).extent {
        Extent::Complete(end) => Some(end),
        _ => None,
    }
}

/// Room for the fields that httparse finds; that of a usual head is on the stack.
pub(super) fn with_slots<'b, R>(lines: usize, parse: impl FnOnce(&mut [MaybeUninit<httparse::Header<'b>>]) -> R) -> R {
    const USUAL: usize = 48;
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
}
