//! Credentials as a request carries them: in a field, in an argument of the query. Each counts only where it stands
//! once, since whoever reads on behind the gateway may take another one than the first.
use std::borrow::Cow;

use http::header::HeaderName;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

use crate::request::decoded;

/// A credential that was presented twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeated;

/// The only value of a field.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Repeated> {
    only(headers.get_all(name).iter())
}

/// A value without a leading `Bearer `.
#[cfg(any(feature = "callout", feature = "jwe", feature = "jwt"))]
pub(crate) fn without_bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => token.trim_ascii_start(),
        _ => value,
    }
}

/// An argument of the query, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument(String);

impl Argument {
    pub(crate) fn new(name: String) -> Self {
        Self(name)
    }

    /// Its only value, decoded; an argument without `=` is empty. Nothing is copied where nothing is encoded.
    pub(crate) fn of<'u>(&self, uri: &'u Uri) -> Result<Option<Cow<'u, [u8]>>, Repeated> {
        let Some(query) = uri.query() else { return Ok(None) };
        let values = query.split('&').filter(|pair| self.names(pair));
        only(values.map(|pair| decoded(pair.split_once('=').map_or("", |(_, value)| value))))
    }

    /// Takes it out of the target; the other arguments stay as they were sent.
    pub(crate) fn remove(&self, uri: &mut Uri) {
        let Some(query) = uri.query() else { return };
        let rest: Vec<_> = query.split('&').filter(|pair| !self.names(pair)).collect();
        let mut target = uri.path().to_owned();
        if !rest.is_empty() {
            target.push('?');
            target.push_str(&rest.join("&"));
        }
        let mut parts = uri.clone().into_parts();
        // What was taken out of a target leaves one.
        parts.path_and_query = PathAndQuery::try_from(target).ok();
        if let Ok(shorter) = Uri::from_parts(parts) {
            *uri = shorter;
        }
    }

    fn names(&self, pair: &str) -> bool {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        *decoded(name) == *self.0.as_bytes()
    }
}

/// The only one of several values.
pub(crate) fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Repeated> {
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Repeated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_once_and_taken_out() {
        let argument = Argument::new("apikey".to_owned());
        for (target, value, without) in [
            ("/a", Ok(None), "/a"),
            ("/a?", Ok(None), "/a?"),
            ("/a?b=1", Ok(None), "/a?b=1"),
            ("/a?apikey=k", Ok(Some("k")), "/a"),
            ("/a?b=%2f&apikey=a%2Bb+c&d", Ok(Some("a+b c")), "/a?b=%2f&d"),
            ("/a?api%6bey=k", Ok(Some("k")), "/a"),
            ("/a?apikey", Ok(Some("")), "/a"),
            ("/a?apikey=x=y", Ok(Some("x=y")), "/a"),
            ("/a?apikey=k&apikey=k&c", Err(Repeated), "/a?c"),
            ("/a?Apikey=k", Ok(None), "/a?Apikey=k"),
            ("http://h:1/a?apikey=k", Ok(Some("k")), "http://h:1/a"),
        ] {
            let mut uri: Uri = target.parse().unwrap();
            let read = argument.of(&uri).map(|value| value.map(|value| String::from_utf8(value.into_owned()).unwrap()));
            assert_eq!(read, value.map(|value| value.map(str::to_owned)), "{target}");
            if read != Ok(None) {
                argument.remove(&mut uri);
            }
            assert_eq!(uri.to_string(), without, "{target}");
        }
    }
}
