//! Text of URIs (RFC 3986): what plugins put into paths is encoded as far as it must be, and no further.
use std::borrow::Cow;

use crate::router::{Value, VarName, Variables};

/// Writes `text` as a part of a path. With `decoded` a `%` is one; without, an escape stays as it is. A `?` never
/// begins a query.
pub(crate) fn push_path(text: &[u8], decoded: bool, out: &mut Vec<u8>) {
    push(text, decoded, false, out);
}

/// Writes `text` as a part of a query, its escapes as they are.
pub(crate) fn push_query(text: &[u8], out: &mut Vec<u8>) {
    push(text, false, true, out);
}

/// Writes `text`, of which the first `?` begins the query, its escapes as they are. Tells whether there was one.
pub(crate) fn push_target(text: &[u8], out: &mut Vec<u8>) -> bool {
    let end = text.iter().position(|byte| *byte == b'?');
    let (path, query) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, &[]));
    push(path, false, false, out);
    push(query, false, true, out);
    end.is_some()
}

fn push(text: &[u8], decoded: bool, query: bool, out: &mut Vec<u8>) {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'%' if !decoded && is_escape(text.get(at + 1..at + 3)) => out.push(b'%'),
            b'?' if query => out.push(b'?'),
            b'?' | b'%' | b'#' | b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                push_escape(*byte, out);
            }
            b'!'..=b'~' => out.push(*byte),
            _ => push_escape(*byte, out),
        }
    }
}

fn is_escape(digits: Option<&[u8]>) -> bool {
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// Writes a byte as `%XX`.
pub(super) fn push_escape(byte: u8, out: &mut Vec<u8>) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'A' + value - 10 };
    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
}

/// Variables as parts of a path: `?` and what is no URI character are encoded, and so is `%` in those that are decoded.
pub(crate) struct EncodedVars<'a> {
    pub(crate) variables: &'a dyn Variables,
    /// Whether `uri` is decoded, as `path_mode: compatible` has it.
    pub(crate) decoded: bool,
}

impl Variables for EncodedVars<'_> {
    fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
        let value = self.variables.get(name)?;
        let Value::Text(text) = value else { return Some(value) };
        let decoded = match name {
            VarName::Uri | VarName::RequestUri => self.decoded,
            VarName::RealRequestUri | VarName::Args => false,
            _ => true,
        };
        let mut out = Vec::with_capacity(text.len());
        push_path(&text, decoded, &mut out);
        Some(if *out == *text { Value::Text(text) } else { Value::Text(Cow::Owned(out)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_as_far_as_it_must_be() {
        for (text, decoded, wanted) in [
            ("/a-b_c~d.e/f:g@h!$&'()*+,;=[]", false, "/a-b_c~d.e/f:g@h!$&'()*+,;=[]"),
            ("/a%20b%2f", false, "/a%20b%2f"),
            ("/a%20b", true, "/a%2520b"),
            ("/100%", false, "/100%25"),
            ("/%z%4", false, "/%25z%254"),
            ("/a b?c#d", false, "/a%20b%3Fc%23d"),
            ("/\r\n\0", true, "/%0D%0A%00"),
            ("/ü\\", true, "/%C3%BC%5C"),
        ] {
            let mut out = Vec::new();
            push_path(text.as_bytes(), decoded, &mut out);
            assert_eq!(out, wanted.as_bytes(), "{text}");
        }
    }

    #[test]
    fn the_first_question_mark_begins_the_query() {
        for (text, wanted, query) in
            [("/a b?c d?e%20", "/a%20b?c%20d?e%20", true), ("/a", "/a", false), ("/?", "/?", true)]
        {
            let mut out = Vec::new();
            assert_eq!(push_target(text.as_bytes(), &mut out), query);
            assert_eq!(out, wanted.as_bytes());
        }
    }
}
