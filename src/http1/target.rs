//! Request targets (RFC 9112 §3.2; security.md H1-12, H1-13).
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Uri};

use crate::host::is_host;

/// A request target, and the host that an absolute one names.
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) host: Option<HeaderValue>,
}

/// Parses a target; `raw` is a slice of the head.
pub(super) fn parse_target(raw: Bytes, method: &Method) -> Result<Target, &'static str> {
    if memchr::memchr(b'#', &raw).is_some() {
        return Err("fragment in the target");
    }
    match raw.first() {
        Some(b'/') => {}
        Some(b'*') if raw.len() == 1 && *method == Method::OPTIONS => {}
        _ => return parse_absolute(&raw),
    }
    let uri = Uri::from_maybe_shared(raw).map_err(|_| "character in the target")?;
    Ok(Target { uri, host: None })
}

/// `http://host[:port]/path?query`.
fn parse_absolute(raw: &Bytes) -> Result<Target, &'static str> {
    const FORM: &str = "target is neither a path nor an http URI";
    let colon = memchr::memchr(b':', raw).ok_or(FORM)?;
    let (scheme, rest) = raw.split_at_checked(colon).ok_or(FORM)?;
    let rest = rest.strip_prefix(b"://").ok_or(FORM)?;
    let scheme = if scheme.eq_ignore_ascii_case(b"http") {
        Scheme::HTTP
    } else if scheme.eq_ignore_ascii_case(b"https") {
        Scheme::HTTPS
    } else {
        return Err(FORM);
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).ok_or(FORM)?;
    if !is_host(host) {
        return Err("authority in the target");
    }
    let path = match path.first() {
        None => PathAndQuery::from_static("/"),
        Some(b'/') => path_and_query(raw.slice_ref(path))?,
        // The path is empty, which means the root (RFC 9110 §4.2.3).
        Some(_) => path_and_query([b"/", path].concat().into())?,
    };
    let host = raw.slice_ref(host);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(Authority::from_maybe_shared(host.clone()).map_err(|_| "authority in the target")?);
    parts.path_and_query = Some(path);
    let uri = Uri::from_parts(parts).map_err(|_| FORM)?;
    let host = HeaderValue::from_maybe_shared(host).map_err(|_| FORM)?;
    Ok(Target { uri, host: Some(host) })
}

fn path_and_query(raw: Bytes) -> Result<PathAndQuery, &'static str> {
    PathAndQuery::from_maybe_shared(raw).map_err(|_| "character in the target")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_h1_12_absolute_targets() {
        let parse = |text: &'static str| parse_target(Bytes::from_static(text.as_bytes()), &Method::GET);
        let target = parse("http://gw.test:80/a?b").ok().unwrap();
        assert_eq!(target.host.unwrap(), "gw.test:80");
        assert_eq!(target.uri.path_and_query().unwrap(), "/a?b");
        assert_eq!(parse("HTTPS://h").ok().unwrap().uri.path(), "/");
        assert_eq!(parse("http://h?x=1").ok().unwrap().uri.path_and_query().unwrap(), "/?x=1");
        for bad in ["http://u@h/", "ftp://h/", "http:///", "http://h:99999/", "http:h", "http://h/#x", "://h/", "h:80"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sec_h1_13_other_forms() {
        let parse = |text: &'static str, method| parse_target(Bytes::from_static(text.as_bytes()), &method).is_ok();
        assert!(parse("*", Method::OPTIONS));
        assert!(!parse("*", Method::GET));
        assert!(!parse("**", Method::OPTIONS));
        for bad in ["s", "?x", "", "a/b"] {
            assert!(!parse(bad, Method::GET), "{bad}");
        }
    }
}
