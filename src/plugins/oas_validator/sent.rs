//! The parts of a request that parameters stand in, each taken apart once and only when it is asked for.
use std::borrow::Cow;
use std::cell::OnceCell;

use http::HeaderMap;
use http::header::COOKIE;

use super::paths::Captures;
use crate::request::decoded;

/// What was sent, but for the body.
pub(super) struct Sent<'t, 'r> {
    pub(super) captures: Captures<'t, 'r>,
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
    arguments: OnceCell<Vec<(Cow<'r, str>, &'r str)>>,
    cookies: OnceCell<Vec<(Cow<'r, str>, Cow<'r, str>)>>,
}

impl<'t, 'r> Sent<'t, 'r> {
    pub(super) fn new(captures: Captures<'t, 'r>, query: &'r str, headers: &'r HeaderMap) -> Self {
        Self { captures, query, headers, arguments: OnceCell::new(), cookies: OnceCell::new() }
    }

    /// The arguments of the query: names decoded, values as they stand there, since what separates parts of one may be encoded in
    /// the parts.
    pub(super) fn arguments(&self) -> &[(Cow<'r, str>, &'r str)] {
        self.arguments.get_or_init(|| {
            let arguments = self.query.split('&').filter(|argument| !argument.is_empty());
            arguments.map(|argument| argument.split_once('=').unwrap_or((argument, ""))).map(named).collect()
        })
    }

    /// The cookies (RFC 6265 §5.4). A line with bytes that are no text hides none of them.
    pub(super) fn cookies(&self) -> &[(Cow<'r, str>, Cow<'r, str>)] {
        self.cookies.get_or_init(|| {
            let lines = self.headers.get_all(COOKIE).iter();
            lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).filter_map(cookie).collect()
        })
    }
}

fn cookie(text: &[u8]) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let text = text.trim_ascii();
    let at = text.iter().position(|byte| *byte == b'=')?;
    let (name, value) = text.split_at_checked(at)?;
    Some((String::from_utf8_lossy(name), String::from_utf8_lossy(value.get(1..)?)))
}

fn named<'r>((name, value): (&'r str, &'r str)) -> (Cow<'r, str>, &'r str) {
    (argument(name), value)
}

/// A name or value of the query as its sender meant it.
pub(super) fn argument(text: &str) -> Cow<'_, str> {
    match decoded(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    }
}
