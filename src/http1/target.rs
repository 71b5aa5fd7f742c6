//! Request targets and `Host` (RFC 9112 §3.2; security.md H1-11 to H1-13).
use std::net::Ipv6Addr;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Uri};

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

/// Whether a `Host` value, or the authority of a URI, names a host as this gateway takes it: a DNS name (letters,
/// digits, `-`, `.`, `_`, `~`), an IPv4 address or an IPv6 address in brackets, then perhaps `:` and a port of 1 to 5
/// digits up to 65,535.
///
/// Narrower than RFC 3986 §3.2.2: percent-escapes and punctuation stand in no DNS name, and hops read them differently.
pub fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            let Some((address, rest)) = rest.split_at_checked(end) else { return false };
            if !std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()) {
                return false;
            }
            match rest {
                [_] => return true,
                [_, b':', port @ ..] => (address, port),
                _ => return false,
            }
        }
        None => match memchr::memchr(b':', value).and_then(|colon| value.split_at_checked(colon)) {
            None => return is_name(value),
            Some((name, port)) if is_name(name) => (name, port.strip_prefix(b":").unwrap_or_default()),
            Some(_) => return false,
        },
    };
    let digits = (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    !host.is_empty() && digits && port.iter().fold(0u32, |sum, byte| sum * 10 + u32::from(byte - b'0')) <= 65_535
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_h1_11_hosts() {
        for good in ["a", "gw.test", "gw.test.", "a_b:80", "127.0.0.1:9080", "[::1]", "[::1]:443", "x:65535", "x:0"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "u@h",
            "h#x",
            "h?x",
            "h\\x",
            "<x>",
            "h:",
            "h:x",
            "h:65536",
            "h:000080",
            "h:+80",
            "a,b",
            "h:80:80",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[gw]",
            "[]",
            "h%41",
            "ä",
            "h\0",
            "[::1%25eth0]",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

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
