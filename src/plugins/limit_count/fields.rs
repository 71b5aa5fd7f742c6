//! The fields of an answer that tell of a limit.
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::config::LimitCountMetadata;
use crate::plugin::ConfigError;
use crate::plugins::limit::Verdict;

/// Where `X-RateLimit-Limit` takes the prefix of a rule.
const MARK: &str = "ratelimit-";

/// The names of the three fields.
#[derive(Clone, Debug)]
pub(super) struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

impl Names {
    /// The names that metadata gives, with the prefix of a rule.
    pub(super) fn new(metadata: &LimitCountMetadata, prefix: Option<&str>) -> Result<Self, &'static str> {
        Ok(Self {
            limit: name(&metadata.limit_header, prefix).ok_or("limit_header")?,
            remaining: name(&metadata.remaining_header, prefix).ok_or("remaining_header")?,
            reset: name(&metadata.reset_header, prefix).ok_or("reset_header")?,
        })
    }

    /// The names without a prefix, for metadata that is judged.
    pub(super) fn check(plugin: &'static str, metadata: &LimitCountMetadata) -> Result<(), ConfigError> {
        let fault = |field| ConfigError::invalid(plugin, field, "is no name of a header field");
        Self::new(metadata, None).map(drop).map_err(fault)
    }

    /// Writes the fields in place of any of the same name.
    pub(super) fn write(&self, limit: &HeaderValue, verdict: Verdict, headers: &mut HeaderMap) {
        let text = Digits::new(verdict.remaining, verdict.reset);
        let (remaining, reset) = text.into_values();
        headers.insert(self.limit.clone(), limit.clone());
        headers.insert(self.remaining.clone(), remaining);
        headers.insert(self.reset.clone(), reset);
    }
}

fn name(name: &str, prefix: Option<&str>) -> Option<HeaderName> {
    let Some(prefix) = prefix else { return name.parse().ok() };
    let name = name.to_ascii_lowercase();
    match name.find(MARK) {
        Some(at) => {
            let (before, after) = name.split_at(at);
            format!("{before}{prefix}-{after}").parse().ok()
        }
        None => format!("{prefix}-{name}").parse().ok(),
    }
}

/// Two numbers as text in one piece of memory: a value of its own for each would be allocated by itself.
struct Digits {
    bytes: [u8; Self::MOST],
    length: usize,
    /// Where the second one begins.
    second: usize,
}

impl AsRef<[u8]> for Digits {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Digits {
    /// Two numbers of 20 digits, a point and two more.
    const MOST: usize = 43;

    /// `remaining`, and `reset` milliseconds as seconds with up to two places, rounded down.
    fn new(remaining: u64, reset: u64) -> Self {
        let mut text = Self { bytes: [0; Self::MOST], length: 0, second: 0 };
        text.number(remaining);
        text.second = text.length;
        text.number(reset / 1000);
        let hundredths = reset % 1000 / 10;
        if hundredths > 0 {
            text.push(b'.');
            text.digit(hundredths / 10);
            if !hundredths.is_multiple_of(10) {
                text.digit(hundredths % 10);
            }
        }
        text
    }

    fn number(&mut self, number: u64) {
        let begins = self.length;
        let mut rest = number;
        loop {
            self.digit(rest % 10);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if let Some(digits) = self.bytes.get_mut(begins..self.length) {
            digits.reverse();
        }
    }

    fn digit(&mut self, digit: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "below 10")]
        self.push(b'0' + digit as u8);
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn into_values(self) -> (HeaderValue, HeaderValue) {
        let at = self.second;
        let mut first = Bytes::from_owner(self);
        let second = first.split_off(at);
        let value = |bytes| HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static("0"));
        (value(first), value(second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_and_times_have_two_places() {
        for (remaining, reset, texts) in [
            (0, 0, ("0", "0")),
            (7, 30_000, ("7", "30")),
            (10, 29_999, ("10", "29.99")),
            (1234, 1_900, ("1234", "1.9")),
            (1, 59, ("1", "0.05")),
            (1, 9, ("1", "0")),
            (u64::MAX, u64::MAX, ("18446744073709551615", "18446744073709551.61")),
        ] {
            let (first, second) = Digits::new(remaining, reset).into_values();
            assert_eq!((first.to_str().unwrap(), second.to_str().unwrap()), texts);
        }
    }

    #[test]
    fn prefixes_stand_before_the_mark() {
        let metadata = LimitCountMetadata { reset_header: "Retry".to_owned(), ..Default::default() };
        let names = Names::new(&metadata, Some("hourly")).unwrap();
        assert_eq!([names.limit, names.reset], ["x-hourly-ratelimit-limit", "hourly-retry"]);
        assert_eq!(Names::new(&metadata, Some("a b")).unwrap_err(), "limit_header");
        let bad = LimitCountMetadata { remaining_header: String::new(), ..Default::default() };
        let error = Names::check("limit-count", &bad).unwrap_err();
        assert!(error.to_string().contains("remaining_header: is no name"));
    }
}
