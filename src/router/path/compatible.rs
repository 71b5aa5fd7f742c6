//! Compatible mode: everything is decoded once, as nginx does before APISIX matches; what was sent is forwarded.
use std::borrow::Cow;

use super::canonical::{Canonical, PathFault, PathOptions};
use super::dots::resolve;
use super::escape::unescape;

pub(super) fn canonicalise<'a>(target: &'a str, options: &PathOptions) -> Result<Canonical<'a>, PathFault> {
    let sent = target.split('#').next().unwrap_or_default();
    let (path, query) = match sent.split_once('?') {
        Some((path, query)) => (path, Some(Cow::Borrowed(query))),
        None => (sent, None),
    };
    let forward = Cow::Borrowed(path);
    if !path.contains('%') && !path.contains("//") && !path.contains("/.") {
        return Ok(Canonical { forward, uri: None, matched: None, query, has_encoded_slash: false });
    }
    let decoded = decode(path.as_bytes(), Slashes::Decode)?;
    let (uri, climbs) = resolve(&decoded);
    if climbs {
        return Err(PathFault::AboveRoot);
    }
    let matched = if options.match_uri_encoded_slash && uri == decoded && has_encoded_slash(path) {
        Some(decode(path.as_bytes(), Slashes::Keep)?)
    } else {
        None
    };
    Ok(Canonical { forward, uri: Some(Cow::Owned(uri)), matched, query, has_encoded_slash: false })
}

fn has_encoded_slash(path: &str) -> bool {
    path.contains("%2F") || path.contains("%2f")
}

#[derive(Clone, Copy, PartialEq)]
enum Slashes {
    Decode,
    /// As upper-case `%2F`.
    Keep,
}

/// Decodes every escape once.
fn decode(path: &[u8], slashes: Slashes) -> Result<Vec<u8>, PathFault> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        rest = tail.get(2..).unwrap_or_default();
        match unescape(tail).ok_or(PathFault::BadEscape)? {
            0 => return Err(PathFault::Control),
            b'/' if slashes == Slashes::Keep => decoded.extend_from_slice(b"%2F"),
            byte => decoded.push(byte),
        }
    }
    Ok(decoded)
}
