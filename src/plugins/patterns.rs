//! Lists of regular expressions, of which one that fits is enough.
use std::collections::HashSet;

use regex::bytes::{RegexBuilder, RegexSet, RegexSetBuilder};

use super::checks::length;
use crate::plugin::ConfigError;

/// Characters of one expression.
const CHARACTERS: usize = 4096;
/// Bytes that all expressions of one list may compile to.
const COMPILED: usize = 10 << 20;

/// Regular expressions of which one that fits is enough, not anchored unless they say so. All are looked for at once, in
/// time that grows with the text alone.
///
/// What they read comes from clients and need not be UTF-8, so they are about bytes: `.` is any byte but a line feed, and
/// `\w`, `\d` and case are those of ASCII.
#[derive(Clone, Debug)]
pub(super) struct Patterns(RegexSet);

impl Patterns {
    /// Compiles the expressions of a field.
    ///
    /// # Errors
    /// The first that is empty, longer than 4096 characters or no expression; all, if together they are too large.
    pub(super) fn parse(
        plugin: &'static str,
        field: &str,
        texts: &[String],
        ignore_case: bool,
    ) -> Result<Self, ConfigError> {
        for (index, text) in texts.iter().enumerate() {
            length(plugin, &format!("{field}.{index}"), text, CHARACTERS)?;
        }
        let mut all = RegexSetBuilder::new(texts);
        all.unicode(false).case_insensitive(ignore_case).size_limit(COMPILED);
        all.build().map(Self).map_err(|whole| {
            let culprit = texts.iter().enumerate().find_map(|(index, text)| {
                let mut one = RegexBuilder::new(text);
                let fault = one.unicode(false).case_insensitive(ignore_case).size_limit(COMPILED).build().err()?;
                Some(ConfigError::invalid(plugin, format!("{field}.{index}"), reason(&fault)))
            });
            culprit.unwrap_or_else(|| ConfigError::invalid(plugin, field, reason(&whole)))
        })
    }

    /// Whether one of them fits.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// # Errors
/// The second of two that are alike.
pub(super) fn unique(plugin: &'static str, field: &str, texts: &[String]) -> Result<(), ConfigError> {
    let mut seen = HashSet::with_capacity(texts.len());
    match texts.iter().position(|text| !seen.insert(text)) {
        Some(index) => Err(ConfigError::invalid(plugin, format!("{field}.{index}"), "stands twice; leave one out")),
        None => Ok(()),
    }
}

fn reason(fault: &regex::Error) -> String {
    match fault {
        regex::Error::CompiledTooBig(limit) => format!("compiles to more than {limit} bytes; write it shorter"),
        fault => {
            let text = fault.to_string();
            let text = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("is no regular expression: {text}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str], ignore_case: bool) -> Result<Patterns, ConfigError> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        Patterns::parse("p", "f", &texts, ignore_case)
    }

    #[test]
    fn one_that_fits_anywhere_is_enough() {
        let patterns = parse(&["^curl/", "bot$", "a.c", "é"], false).unwrap();
        for text in [&b"curl/8"[..], b"robot", b"xabcx", b"a\xffc", "café".as_bytes()] {
            assert!(patterns.is_match(text), "{text:?}");
        }
        for text in [&b"libcurl/8"[..], b"bots", b"ABC", b"CURL/8", b""] {
            assert!(!patterns.is_match(text), "{text:?}");
        }
        assert!(parse(&["^CURL"], true).unwrap().is_match(b"curl"));
        assert!(!parse(&[], false).unwrap().is_match(b"curl"));
    }

    #[test]
    fn the_expression_that_is_wrong_is_named() {
        for (text, says) in [
            ("(", "is no regular expression"),
            ("(?=a)", "look-around"),
            ("", "is empty"),
            (r"\w{1000}{1000}", "compiles to more than"),
        ] {
            let error = parse(&["fine", text], false).unwrap_err();
            assert_eq!(error.field(), "f.1", "{text}");
            assert!(error.to_string().contains(says), "{error}");
        }
        let long = "x".repeat(4097);
        assert_eq!(parse(&[&long], false).unwrap_err().field(), "f.0");
    }

    #[test]
    fn expressions_that_stand_twice_are_named() {
        let texts = ["a", "b", "a"].map(str::to_owned);
        assert_eq!(unique("p", "f", &texts).unwrap_err().field(), "f.2");
        assert!(unique("p", "f", &texts[..2]).is_ok());
    }
}
