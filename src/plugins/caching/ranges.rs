//! Parts of a kept body (RFC 9110 §14).
use std::ops::Range;

/// What a `Range` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole: no range that is understood, or several, which a server may answer with the whole (RFC 9110 §14.2).
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// Nothing that is there: 416.
    Outside,
}

/// Reads a `Range` for a body of so many bytes.
pub(super) fn part(range: &[u8], length: u64) -> Part {
    let Some((first, last)) = bounds(range) else { return Part::Whole };
    match (number(first), number(last)) {
        // the last so many bytes
        (None, Some(count)) if first.is_empty() => match count {
            0 => Part::Outside,
            _ if length == 0 => Part::Outside,
            count => Part::Bytes(length.saturating_sub(count)..length),
        },
        (Some(first), _) if last.is_empty() => from(first, length, length),
        (Some(first), Some(last)) if first <= last => from(first, last.saturating_add(1).min(length), length),
        _ => Part::Whole,
    }
}

/// Whether a `Range` asks for everything from the first byte on.
pub(super) fn is_all(range: &[u8]) -> bool {
    bounds(range).is_some_and(|(first, last)| last.is_empty() && number(first) == Some(0))
}

/// The two sides of a `Range` of bytes; `None` if it is none, or several.
fn bounds(range: &[u8]) -> Option<(&[u8], &[u8])> {
    let (unit, set) = split(range, b'=')?;
    if !unit.trim_ascii().eq_ignore_ascii_case(b"bytes") || set.contains(&b',') {
        return None;
    }
    let (first, last) = split(set.trim_ascii(), b'-')?;
    Some((first.trim_ascii(), last.trim_ascii()))
}

fn from(first: u64, end: u64, length: u64) -> Part {
    if first < length { Part::Bytes(first..end) } else { Part::Outside }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..place)?, bytes.get(place + 1..)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // More than can be counted is more than there is.
    Some(digits.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        for (range, wanted) in [
            ("bytes=0-3", Part::Bytes(0..4)),
            ("Bytes = 2-", Part::Bytes(2..10)),
            ("bytes=-3", Part::Bytes(7..10)),
            ("bytes=-30", Part::Bytes(0..10)),
            ("bytes=9-99999999999999999999999", Part::Bytes(9..10)),
            ("bytes=10-", Part::Outside),
            ("bytes=99999999999999999999999-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=3-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes", Part::Whole),
            ("rows=0-1", Part::Whole),
            ("bytes=+1-2", Part::Whole),
        ] {
            assert_eq!(part(range.as_bytes(), 10), wanted, "{range}");
        }
        for (range, wanted) in [
            ("bytes=0-", true),
            ("Bytes = 00-", true),
            ("bytes=1-", false),
            ("bytes=0-9", false),
            ("bytes=-9", false),
            ("bytes=-", false),
            ("bytes=0-,0-", false),
            ("rows=0-", false),
        ] {
            assert_eq!(is_all(range.as_bytes()), wanted, "{range}");
        }
        assert_eq!(part(b"bytes=-1", 0), Part::Outside);
        assert_eq!(part(b"bytes=0-", 0), Part::Outside);
    }

    proptest! {
        #[test]
        fn what_is_given_is_there(range in "bytes=[0-9]{0,22}-[0-9]{0,22}|[ -~]{0,20}", length in 0..100_u64) {
            if let Part::Bytes(bytes) = part(range.as_bytes(), length) {
                prop_assert!(bytes.start < bytes.end && bytes.end <= length, "{bytes:?}");
            }
        }
    }
}
