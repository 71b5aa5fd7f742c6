//! Substitution by regular expression.
use regex::bytes::{Captures, Regex, RegexBuilder};

/// Compiled size that one regular expression may have (security.md PATH-11).
const REGEX_BYTES: usize = 1 << 20;

/// Compiles a pattern; `set` turns flags on.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn compile_regex(
    pattern: &str,
    set: impl FnOnce(&mut RegexBuilder) -> &mut RegexBuilder,
) -> Result<Regex, String> {
    set(RegexBuilder::new(pattern).size_limit(REGEX_BYTES)).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("it compiles to more than {limit} bytes"),
        error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

/// What a match is replaced with: text in which `$1` or `${1}` stands for a group, `$0` for the whole match and `$$`
/// for a dollar sign. A group that is not there is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Group(usize),
}

impl Replacement {
    /// Reads a replacement.
    ///
    /// # Errors
    /// For a `$` with a name behind it, and for a `${` without number or end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            literal.extend_from_slice(before.as_bytes());
            let (name, after) = if let Some(inside) = behind.strip_prefix('{') {
                inside.split_once('}').ok_or_else(|| format!("`${{` without `}}` in {text:?}"))?
            } else {
                let length = behind.bytes().take_while(u8::is_ascii_digit).count();
                behind.split_at(length)
            };
            if let Ok(group) = name.parse() {
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Group(group));
                rest = after;
            } else if let Some(after) = behind.strip_prefix('$') {
                literal.push(b'$');
                rest = after;
            } else if behind.starts_with(|next: char| next == '{' || next == '_' || next.is_ascii_alphabetic()) {
                return Err(format!(
                    "{text:?} has `$` before a name: only `$1` and its like stand here; write `$$` for `$`"
                ));
            } else {
                literal.push(b'$');
                rest = behind;
            }
        }
        literal.extend_from_slice(rest.as_bytes());
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// Writes the replacement of a match; `push` writes what a group captured.
    fn expand(&self, captures: &Captures<'_>, out: &mut Vec<u8>, push: impl Fn(&[u8], &mut Vec<u8>)) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(group) => {
                    if let Some(captured) = captures.get(*group) {
                        push(captured.as_bytes(), out);
                    }
                }
            }
        }
    }
}

/// A pattern and what its matches are replaced with.
#[derive(Clone, Debug)]
pub struct Substitution {
    regex: Regex,
    replacement: Replacement,
}

impl Substitution {
    pub(crate) fn new(regex: Regex, replacement: Replacement) -> Self {
        Self { regex, replacement }
    }

    /// Compiles pattern and replacement.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn compile(pattern: &str, replacement: &str) -> Result<Self, String> {
        Ok(Self::new(compile_regex(pattern, |builder| builder)?, Replacement::parse(replacement)?))
    }

    /// The first match.
    pub fn captures<'t>(&self, text: &'t [u8]) -> Option<Captures<'t>> {
        self.regex.captures(text)
    }

    /// `text` with the match of `captures` replaced; `push` writes what is taken over from `text`.
    pub(crate) fn replace(&self, text: &[u8], captures: &Captures<'_>, push: impl Fn(&[u8], &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 32);
        let matched = captures.get(0).map_or(0..0, |matched| matched.range());
        push(text.get(..matched.start).unwrap_or_default(), &mut out);
        self.replacement.expand(captures, &mut out, &push);
        push(text.get(matched.end..).unwrap_or_default(), &mut out);
        out
    }

    /// `text` with every match replaced; `None` when nothing matches.
    pub fn replace_all(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut all = self.regex.captures_iter(text).peekable();
        all.peek()?;
        let mut out = Vec::with_capacity(text.len());
        let mut done = 0;
        for captures in all {
            let matched = captures.get(0).map_or(0..0, |matched| matched.range());
            out.extend_from_slice(text.get(done..matched.start).unwrap_or_default());
            self.replacement.expand(&captures, &mut out, copy);
            done = matched.end;
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        Some(out)
    }

    /// `text` with the first match replaced; `None` when nothing matches.
    pub fn replace_first(&self, text: &[u8]) -> Option<Vec<u8>> {
        Some(self.replace(text, &self.captures(text)?, copy))
    }
}

/// Takes captured text over as it is.
fn copy(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_take_groups() {
        for (pattern, replacement, text, wanted) in [
            ("^/a/(.*)/(.*)", "/$2/$1", "/a/x/y", "/y/x"),
            ("a(b)?", "<$0|${1}|$9>", "ca", "c<a||>"),
            ("b", "$$1$", "abc", "a$1$c"),
            ("(b)", "${1}0", "abc", "ab0c"),
            ("b+", "", "abbcb", "acb"),
        ] {
            let substitution = Substitution::compile(pattern, replacement).unwrap();
            let replaced = substitution.replace_first(text.as_bytes());
            assert_eq!(replaced.as_deref(), Some(wanted.as_bytes()), "{pattern} {replacement}");
        }
        assert_eq!(Substitution::compile("x", "y").unwrap().replace_first(b"abc"), None);
    }

    #[test]
    fn all_matches_or_none() {
        for (pattern, text, wanted) in
            [("b", "abcb", Some("a-c-")), ("x", "abc", None), ("", "ab", Some("-a-b-")), ("^a", "abc", Some("-bc"))]
        {
            let replaced = Substitution::compile(pattern, "-").unwrap().replace_all(text.as_bytes());
            assert_eq!(replaced.as_deref(), wanted.map(str::as_bytes), "{pattern}");
        }
        assert_eq!(Substitution::compile("a", "").unwrap().replace_all(b"a").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn faults_are_told() {
        for (pattern, replacement) in [("(", ""), ("(?=a)", ""), ("a{9999}{9999}", ""), ("a", "$name"), ("a", "${1")] {
            assert!(Substitution::compile(pattern, replacement).is_err(), "{pattern} {replacement}");
        }
    }
}
