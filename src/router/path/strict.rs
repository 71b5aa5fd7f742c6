//! Strict mode: decode only what every hop decodes alike, refuse what hops read differently.
use std::borrow::Cow;
use std::fmt::Write as _;

use super::canonical::{Canonical, EncodedSlash, PathFault, PathMode, PathOptions};
use super::dots::resolve;
use super::escape::unescape;

/// Classes of bytes. Everything else is a URI character that means nothing to a path.
const PLAIN: u8 = 0;
const SLASH: u8 = 1;
const PERCENT: u8 = 2;
const QUESTION: u8 = 3;
/// From here on a byte is refused, or encoded in a lenient target.
const FRAGMENT: u8 = 4;
const BACKSLASH: u8 = 5;
const CONTROL: u8 = 6;
const FOREIGN: u8 = 7;

#[expect(clippy::indexing_slicing, reason = "the index runs over the length of the table, when it is compiled")]
const CLASS: [u8; 256] = {
    let mut table = [PLAIN; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'/' => SLASH,
            b'%' => PERCENT,
            b'?' => QUESTION,
            b'#' => FRAGMENT,
            b'\\' => BACKSLASH,
            0..=0x1f | 0x7f => CONTROL,
            b'"' | b'<' | b'>' | b' ' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => FOREIGN,
            _ => PLAIN,
        };
        byte += 1;
    }
    table
};

#[inline]
fn class_of(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(CONTROL)
}

pub(super) fn canonicalise<'a>(target: &'a str, options: &PathOptions) -> Result<Canonical<'a>, PathFault> {
    let (plain, end) = scan(target.as_bytes(), options.lenient_target)?;
    let (path, query) = match target.split_at_checked(end) {
        Some((path, rest)) => (path, rest.strip_prefix('?')),
        None => (target, None),
    };
    let query = query.map(|query| judge_query(query, options.lenient_target)).transpose()?;
    let (forward, has_encoded_slash) = if plain {
        (Cow::Borrowed(path), false)
    } else {
        let (text, has_encoded_slash) = normalise_escapes(path)?;
        refuse_hidden_dots(&text)?;
        (unchanged_or(path, resolve_text(&text)), has_encoded_slash)
    };
    let keeps = options.encoded_slash == EncodedSlash::Keep || options.match_uri_encoded_slash;
    if has_encoded_slash && !keeps {
        return Err(PathFault::EncodedSlash);
    }
    Ok(Canonical { forward, uri: None, matched: None, query, has_encoded_slash })
}

/// Finds the end of the path, and whether the path is canonical as it stands. The one pass that most requests get.
fn scan(target: &[u8], lenient: bool) -> Result<(bool, usize), PathFault> {
    let mut plain = true;
    for (at, byte) in target.iter().enumerate() {
        match class_of(*byte) {
            PLAIN => {}
            // What begins with one of these may be a dot segment, an empty one or one of nothing but parameters.
            SLASH => plain &= !matches!(target.get(at + 1), Some(b'/' | b'.' | b';')),
            PERCENT => plain = false,
            QUESTION => return Ok((plain, at)),
            class => {
                refuse(class, lenient)?;
                plain = false;
            }
        }
    }
    Ok((plain, target.len()))
}

/// The fault of a byte that no canonical target has, unless a lenient target may encode it.
fn refuse(class: u8, lenient: bool) -> Result<(), PathFault> {
    match class {
        BACKSLASH => Err(PathFault::Backslash),
        CONTROL => Err(PathFault::Control),
        FRAGMENT | FOREIGN if lenient => Ok(()),
        FRAGMENT => Err(PathFault::Fragment),
        _ => Err(PathFault::BadByte),
    }
}

/// A query is forwarded byte for byte once its characters are judged (security.md PATH-09).
fn judge_query(query: &str, lenient: bool) -> Result<Cow<'_, str>, PathFault> {
    let mut changes = false;
    for byte in query.bytes() {
        let class = class_of(byte);
        if class >= FRAGMENT {
            refuse(class, lenient)?;
            changes = true;
        }
    }
    if !changes {
        return Ok(Cow::Borrowed(query));
    }
    let mut encoded = String::with_capacity(query.len() + 16);
    for byte in query.bytes() {
        if class_of(byte) >= FRAGMENT { escape(byte, &mut encoded) } else { encoded.push(char::from(byte)) }
    }
    Ok(Cow::Owned(encoded))
}

/// Decodes unreserved characters, writes all other escapes in upper case and encodes what is no URI character. Tells
/// whether an encoded slash or backslash is among the escapes.
fn normalise_escapes(path: &str) -> Result<(String, bool), PathFault> {
    let mut text = String::with_capacity(path.len() + 16);
    let mut has_encoded_slash = false;
    let mut rest = path.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match class_of(*byte) {
            PERCENT => {
                let escaped = unescape(tail).ok_or(PathFault::BadEscape)?;
                rest = tail.get(2..).unwrap_or_default();
                match escaped {
                    0..=0x1f | 0x7f => return Err(PathFault::Control),
                    b'-' | b'.' | b'_' | b'~' => text.push(char::from(escaped)),
                    _ if escaped.is_ascii_alphanumeric() => text.push(char::from(escaped)),
                    _ => {
                        has_encoded_slash |= matches!(escaped, b'/' | b'\\');
                        escape(escaped, &mut text);
                    }
                }
            }
            FRAGMENT | FOREIGN => escape(*byte, &mut text),
            _ => text.push(char::from(*byte)),
        }
    }
    Ok((text, has_encoded_slash))
}

fn escape(byte: u8, text: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(text, "%{byte:02X}");
}

/// Refuses what a server that drops `;parameters`, or decodes a slash, would read as a dot segment or as no segment
/// (security.md PATH-04). `text` has its escapes normalised.
fn refuse_hidden_dots(text: &str) -> Result<(), PathFault> {
    if !text.contains([';', '%']) {
        return Ok(());
    }
    let mut segments = text.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let bare = segment.replace("%3B", ";").replace("%5C", "%2F");
        for piece in bare.split("%2F") {
            let name = piece.split(';').next().unwrap_or_default();
            let shows = name.len() == segment.len();
            let hides = matches!(name, "." | "..") || (name.is_empty() && piece.starts_with(';') && !is_last);
            if hides && !shows {
                return Err(PathFault::HiddenDots);
            }
        }
    }
    Ok(())
}

fn resolve_text(text: &str) -> String {
    let (resolved, _) = resolve(text.as_bytes());
    String::from_utf8_lossy(&resolved).into_owned()
}

fn unchanged_or(path: &str, canonical: String) -> Cow<'_, str> {
    if path == canonical { Cow::Borrowed(path) } else { Cow::Owned(canonical) }
}

/// Brings a literal run of a pattern to the form that paths have. `is_first`: the run begins the pattern;
/// `is_prefix`: it may end inside a segment, which is then no dot segment yet.
pub(in crate::router) fn canonicalise_literal(
    literal: &str,
    is_first: bool,
    is_prefix: bool,
    mode: PathMode,
) -> Result<Vec<u8>, PathFault> {
    if mode == PathMode::Compatible {
        return Ok(literal.as_bytes().to_vec());
    }
    // A pattern has no query: these two are bytes of its path.
    let literal = literal.replace('?', "%3F").replace('#', "%23");
    scan(literal.as_bytes(), true)?;
    let (text, _) = normalise_escapes(&literal)?;
    refuse_hidden_dots(&text)?;
    let open = if is_prefix { text.rfind('/').map_or(0, |at| at + 1) } else { text.len() };
    let (whole, partial) = text.split_at_checked(open).unwrap_or((&text, ""));
    let (mut resolved, climbs) = resolve(whole.as_bytes());
    if climbs && !is_first {
        return Err(PathFault::AboveRoot);
    }
    resolved.extend_from_slice(partial.as_bytes());
    Ok(resolved)
}
