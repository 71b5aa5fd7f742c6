//! A request of HTTP/2 in the form that requests of HTTP/1 have here (security.md H2-01 to H2-08).
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::error::Error;
use crate::http1::{is_host, strip_hop_by_hop};

/// Judges a head and changes it: the authority is in `Host`, and the pieces of `Cookie` are one field. Tells whether the
/// client waits for a `100`.
pub(super) fn canonical(request: &mut http::request::Parts, most_fields: usize) -> Result<bool, Error> {
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Err(Error::MethodRefused(StatusCode::METHOD_NOT_ALLOWED));
    }
    // Each piece of a cookie counts: a block of a few bytes can name thousands of them.
    if request.headers.len() > most_fields {
        return Err(Error::HeadRefused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    let mut among = Among::default();
    for (name, value) in &request.headers {
        if is_padded(value.as_bytes()) {
            return Err(Error::BadRequest("space around the value of a field"));
        }
        match name.as_str() {
            "cookie" => among.cookies += 1,
            "expect" => among.expect = true,
            "trailer" | "http2-settings" | "proxy-authorization" => among.hop = true,
            _ => {}
        }
    }
    judge_target(&request.method, &request.uri)?;
    if let Some(host) = host(&request.uri, &request.headers)? {
        request.headers.insert(HOST, host);
    }
    if among.hop {
        strip_hop_by_hop(&mut request.headers);
    }
    if among.cookies > 1 {
        join_cookies(&mut request.headers)?;
    }
    if among.expect { expects(&mut request.headers) } else { Ok(false) }
}

/// What is among the fields; one look at all is cheaper than a search for each.
#[derive(Default)]
struct Among {
    cookies: usize,
    expect: bool,
    /// What else belongs to one hop; `h2` refuses the rest of it.
    hop: bool,
}

/// Whether space stands before or behind the value (RFC 9113 §8.2.1).
fn is_padded(value: &[u8]) -> bool {
    matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

/// The scheme is one of HTTP's, and the path begins with a slash (RFC 9113 §8.3.1).
fn judge_target(method: &Method, uri: &Uri) -> Result<(), Error> {
    if !matches!(uri.scheme_str(), Some("http" | "https") | None) {
        return Err(Error::BadRequest("scheme"));
    }
    match uri.path_and_query().map(|path| path.as_str()) {
        Some(path) if path.starts_with('/') => Ok(()),
        Some("*") if *method == Method::OPTIONS => Ok(()),
        _ => Err(Error::BadRequest("path")),
    }
}

/// What `Host` is to become; `None` when it is right already.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<HeaderValue>, Error> {
    let mut hosts = headers.get_all(HOST).iter();
    let (said, host) = match (uri.authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) | (None, None, _) => return Err(Error::BadRequest("not exactly one host")),
        (Some(authority), Some(host), None) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            return Err(Error::BadRequest("host differs from the authority"));
        }
        (Some(authority), ..) => (authority.as_str().as_bytes(), true),
        (None, Some(host), None) => (host.as_bytes(), false),
    };
    if !is_host(said) {
        return Err(Error::BadRequest("authority"));
    }
    if host {
        return HeaderValue::from_bytes(said).map(Some).map_err(|_| Error::BadRequest("authority"));
    }
    Ok(None)
}

/// Joins the pieces of `Cookie` (H2-06; RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Error> {
    let pieces: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_maybe_shared(Bytes::from(pieces.join(&b"; "[..])));
    headers.insert(COOKIE, joined.map_err(|_| Error::BadRequest("cookie"))?);
    Ok(())
}

/// Whether the client waits for a `100`; the field comes off.
fn expects(headers: &mut HeaderMap) -> Result<bool, Error> {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(EXPECT).iter().all(plain) {
        return Err(Error::ExpectationFailed);
    }
    headers.remove(EXPECT);
    Ok(true)
}

/// The length that the head promises. `h2` has seen to it that all promises are the same number.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(uri: &str, fields: &[(&'static str, &'static str)]) -> Result<(HeaderMap, bool), Error> {
        let mut request = http::Request::get(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let waits = canonical(&mut parts, 100)?;
        Ok((parts.headers, waits))
    }

    #[test]
    fn sec_h2_02_targets() {
        for (uri, fine) in [("http://h/", true), ("https://h/a", true), ("ftp://h/", false), ("/", false)] {
            assert_eq!(judge(uri, &[]).is_ok(), fine, "{uri}");
        }
        let star = |method: Method| judge_target(&method, &Uri::from_static("*")).is_ok();
        assert_eq!([Method::OPTIONS, Method::GET].map(star), [true, false]);
    }

    #[test]
    fn sec_h2_01_no_space_around_values() {
        for (value, fine) in [("a b", true), (" a", false), ("a ", false), ("\ta", false), ("", true)] {
            assert_eq!(judge("http://h/", &[("x-a", value)]).is_ok(), fine, "{value:?}");
        }
    }

    #[test]
    fn sec_h2_08_pieces_of_cookies_are_fields() {
        let many =
            |count| judge("http://h/", &vec![("cookie", "a"); count]).map(|(headers, _)| headers["cookie"].len());
        assert_eq!(many(100).unwrap(), 100 + 99 * 2);
        assert_eq!(many(101).unwrap_err().status(), 431);
    }

    #[test]
    fn expectations() {
        assert!(judge("http://h/", &[("expect", "100-Continue")]).unwrap().1);
        assert!(!judge("http://h/", &[]).unwrap().1);
        assert_eq!(judge("http://h/", &[("expect", "tea")]).unwrap_err().status(), 417);
    }
}
