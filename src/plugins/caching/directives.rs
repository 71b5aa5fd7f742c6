//! `Cache-Control` (RFC 9111 §5.2, RFC 5861).
use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

/// What a message's `Cache-Control` says. Times in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct CacheControl {
    pub(in super::super) no_store: bool,
    /// With field names as well: what is kept would have to be checked each time.
    pub(in super::super) no_cache: bool,
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(in super::super) only_if_cached: bool,
    pub(super) max_age: Option<u32>,
    pub(super) s_maxage: Option<u32>,
    pub(super) while_revalidate: Option<u32>,
    pub(super) if_error: Option<u32>,
    /// `u32::MAX` for any time.
    pub(super) max_stale: Option<u32>,
    pub(super) min_fresh: Option<u32>,
}

impl CacheControl {
    /// Reads a message's fields. Of a time that is there twice the shorter counts, and one that is no number is none at all:
    /// an answer whose lifetime cannot be read is stale (RFC 9111 §4.2.1).
    pub(in super::super) fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            let mut rest = line.as_bytes();
            while let Some((directive, behind)) = next(rest) {
                control.take(directive);
                rest = behind;
            }
        }
        control
    }

    /// As [`CacheControl::of`], for a request: `Pragma: no-cache` counts where there is no `Cache-Control` (RFC 9111 §5.4).
    pub(in super::super) fn of_request(headers: &HeaderMap) -> Self {
        let mut control = Self::of(headers);
        let is_old = !headers.contains_key(CACHE_CONTROL);
        control.no_cache |= is_old && headers.get(PRAGMA).is_some_and(|pragma| pragma == "no-cache");
        control
    }

    fn take(&mut self, directive: &[u8]) {
        let (name, value) = match directive.iter().position(|byte| *byte == b'=') {
            Some(at) => (directive.get(..at).unwrap_or_default(), directive.get(at + 1..)),
            None => (directive, None),
        };
        let shorter = |before: Option<u32>| Some(before.unwrap_or(u32::MAX).min(seconds(value)));
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = true,
            b"private" => self.private = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => self.max_age = shorter(self.max_age),
            b"s-maxage" => self.s_maxage = shorter(self.s_maxage),
            b"stale-while-revalidate" => self.while_revalidate = shorter(self.while_revalidate),
            b"stale-if-error" => self.if_error = shorter(self.if_error),
            b"max-stale" => self.max_stale = Some(value.map_or(u32::MAX, |_| seconds(value))),
            // the longer is the stricter
            b"min-fresh" => self.min_fresh = Some(self.min_fresh.unwrap_or(0).max(seconds(value))),
            _ => {}
        }
    }
}

/// The first directive, and what stands behind it. A comma inside of quotes separates nothing.
fn next(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if rest.is_empty() {
        return None;
    }
    let (mut quoted, mut escaped) = (false, false);
    let end = rest.iter().position(|byte| {
        let is_end = *byte == b',' && !quoted;
        quoted ^= *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
        is_end
    });
    match end {
        Some(at) => Some((rest.get(..at)?, rest.get(at + 1..)?)),
        None => Some((rest, &[])),
    }
}

/// A time; 0 for what is no number. One that is too long is as long as can be (RFC 9111 §1.2.2).
fn seconds(value: Option<&[u8]>) -> u32 {
    let value = value.unwrap_or_default().trim_ascii();
    let digits = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
    number.unwrap_or(LONGEST).min(LONGEST)
}

/// 2^31 seconds.
const LONGEST: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &[&str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        }
        CacheControl::of(&headers)
    }

    #[test]
    fn directives_are_read() {
        let none = CacheControl::default();
        for (lines, wanted) in [
            (&[""][..], none),
            (&["no-store, No-Cache"], CacheControl { no_store: true, no_cache: true, ..none }),
            (&["private=\"set-cookie, public\""], CacheControl { private: true, ..none }),
            (&["private=\"a\\\", no-store\", public"], CacheControl { private: true, public: true, ..none }),
            (&["max-age=5", "MAX-AGE=3"], CacheControl { max_age: Some(3), ..none }),
            (&["max-age=\"7\" , s-maxage = 8"], CacheControl { max_age: Some(7), s_maxage: Some(8), ..none }),
            (&["max-age=-1"], CacheControl { max_age: Some(0), ..none }),
            (&["max-age"], CacheControl { max_age: Some(0), ..none }),
            (&["max-age=99999999999"], CacheControl { max_age: Some(1 << 31), ..none }),
            (&["max-stale"], CacheControl { max_stale: Some(u32::MAX), ..none }),
            (&["max-stale=4,min-fresh=2,min-fresh=3"], CacheControl { max_stale: Some(4), min_fresh: Some(3), ..none }),
            (
                &["stale-while-revalidate=1, stale-if-error=2, proxy-revalidate, only-if-cached"],
                CacheControl {
                    while_revalidate: Some(1),
                    if_error: Some(2),
                    proxy_revalidate: true,
                    only_if_cached: true,
                    ..none
                },
            ),
        ] {
            assert_eq!(of(lines), wanted, "{lines:?}");
        }
    }

    #[test]
    fn pragma_counts_where_nothing_else_is_said() {
        let mut headers = HeaderMap::from_iter([(PRAGMA, HeaderValue::from_static("no-cache"))]);
        assert!(CacheControl::of_request(&headers).no_cache);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        assert!(!CacheControl::of_request(&headers).no_cache);
    }

    proptest! {
        #[test]
        fn what_stands_behind_any_text_is_never_weaker(text in "[ -~]{0,40}") {
            let quotes = text.matches('"').count();
            // Inside of open quotes it is a text.
            prop_assume!(quotes.is_multiple_of(2) && !text.contains('\\'));
            let line = format!("{text},no-store");
            prop_assert!(of(&[&line]).no_store, "{}", line);
        }
    }
}
