//! Which fields belong to one hop (RFC 9110 §7.6.1; security.md HOP-01, HOP-02), and which may stand in trailers
//! (H1-17).
use http::header::{CONNECTION, HeaderName, TE};
use http::{HeaderMap, HeaderValue};

/// Whether a field is for one hop only, whatever `Connection` says. `name` in any case.
pub(crate) fn is_hop(name: &[u8]) -> bool {
    let first = name.first().map(u8::to_ascii_lowercase);
    // Asked of every field, twice: length and first letter tell nearly all others apart.
    let hop: &[u8] = match (name.len(), first) {
        (2, Some(b't')) => b"te",
        (7, Some(b'u')) => b"upgrade",
        (7, Some(b't')) => b"trailer",
        (10, Some(b'c')) => b"connection",
        (10, Some(b'k')) => b"keep-alive",
        (14, Some(b'h')) => b"http2-settings",
        (16, Some(b'p')) => b"proxy-connection",
        (17, Some(b't')) => b"transfer-encoding",
        (19, Some(b'p')) => b"proxy-authorization",
        _ => return false,
    };
    name.eq_ignore_ascii_case(hop)
}

/// Whether `Connection` may not take the field away: it goes from end to end, so naming it is a mistake or an attack.
pub(crate) fn is_end_to_end(name: &str) -> bool {
    const NAMES: [&str; 60] = [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "accept-ranges",
        "access-control-request-headers",
        "access-control-request-method",
        "age",
        "allow",
        "authorization",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-range",
        "content-security-policy",
        "content-type",
        "cookie",
        "date",
        "etag",
        "expect",
        "expires",
        "forwarded",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "link",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "proxy-authenticate",
        "range",
        "referer",
        "refresh",
        "retry-after",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "server",
        "set-cookie",
        "strict-transport-security",
        "traceparent",
        "tracestate",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-api-key",
        "x-userinfo",
    ];
    const PREFIXES: [&str; 6] =
        ["x-forwarded-", "x-real-", "x-request-", "x-consumer-", "x-credential-", "access-control-"];
    NAMES.binary_search(&name).is_ok() || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The comma-separated tokens of a field value.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Removes the fields that a `Connection` value names, unless they go from end to end.
pub(crate) fn remove_named(headers: &mut HeaderMap, connection: &[u8]) {
    for token in tokens(connection) {
        if let Ok(name) = HeaderName::from_bytes(token)
            && !is_end_to_end(name.as_str())
        {
            headers.remove(name);
        }
    }
}

/// Takes off what belongs to the hop that the message came on: the fixed list, and what `Connection` names.
///
/// For messages of a host's own server; the parsers of this module never put such fields into a map. Of `te` only
/// `trailers` stays, if it is in it. Fields that go from end to end, such as `Host`, `Authorization` or
/// `X-Forwarded-For`, stay even when `Connection` names them.
#[cfg_attr(not(feature = "client"), expect(unreachable_pub, reason = "made public by the codec"))]
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // `Connection` names it wherever it is sent (RFC 9110 §10.1.4)
    let trailers = takes_trailers(headers);
    let named: Vec<_> = headers.get_all(CONNECTION).iter().cloned().collect();
    for value in &named {
        remove_named(headers, value.as_bytes());
    }
    for name in
        ["upgrade", "trailer", "connection", "keep-alive", "http2-settings", "proxy-connection", "transfer-encoding"]
    {
        headers.remove(name);
    }
    headers.remove(http::header::PROXY_AUTHORIZATION);
    match trailers {
        true => drop(headers.insert(TE, HeaderValue::from_static("trailers"))),
        false => drop(headers.remove(TE)),
    }
}

/// Whether a client takes trailers (RFC 9110 §10.1.4), whatever else it takes.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let mut takes = headers.get_all(TE).iter().flat_map(|te| tokens(te.as_bytes()));
    takes.any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// Whether a field can stand in a trailer section (RFC 9110 §6.5.1): none that frames, routes, authenticates, controls
/// or belongs to one hop, and none by which the gateway tells an upstream of the client and the way (security.md
/// HOP-03, HOP-05): there are upstreams that merge trailers into the head.
pub(crate) fn may_trail(name: &str) -> bool {
    const NEVER: [&str; 23] = [
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "range",
        "retry-after",
        "set-cookie",
        "vary",
        "warning",
        "www-authenticate",
    ];
    const NEVER_BEGINS: [&str; 5] = ["x-forwarded-", "x-consumer-", "x-credential-", "x-real-ip", "x-userinfo"];
    // There are servers to which an underscore is as good as a hyphen (security.md HOP-04).
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let reads_as = |part: &[u8], never: &str| part.iter().copied().map(dashed).eq(never.bytes());
    let begins = |prefix: &&str| name.as_bytes().get(..prefix.len()).is_some_and(|start| reads_as(start, prefix));
    !is_hop(name.as_bytes())
        && !NEVER.iter().any(|never| reads_as(name.as_bytes(), never))
        && !NEVER_BEGINS.iter().any(begins)
}

/// Takes out of a trailer section what may not stand in one.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    let doomed: Vec<_> = trailers.keys().filter(|name| !may_trail(name.as_str())).cloned().collect();
    for name in doomed {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_hop_01_the_fixed_list_and_named_fields_go() {
        let mut headers = HeaderMap::new();
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "proxy-authorization",
            "x-secret",
            "x-other",
            "x-kept",
        ] {
            headers.insert(name, HeaderValue::from_static("x-secret"));
        }
        headers.append("connection", HeaderValue::from_static("close,X-Other"));
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-kept"]);
        for (te, kept) in [("trailers", true), ("deflate;q=0.5, Trailers", true), ("trailers2", false), ("gzip", false)]
        {
            headers.insert("te", HeaderValue::from_static("compress"));
            headers.append("te", HeaderValue::from_static(te));
            headers.insert("connection", HeaderValue::from_static("TE"));
            strip_hop_by_hop(&mut headers);
            let left: Vec<_> = headers.get_all("te").iter().collect();
            assert_eq!(left, if kept { vec!["trailers"] } else { vec![] }, "{te}");
        }
    }

    #[test]
    fn sec_hop_02_connection_cannot_name_end_to_end_fields() {
        let names = ["host", "content-length", "authorization", "cookie", "x-forwarded-for", "x-real-ip", "via"];
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("Host, content-length,Authorization, cookie"));
        headers.append("connection", HeaderValue::from_static("X-Forwarded-For, x-real-ip, Via"));
        for name in names {
            headers.insert(name, HeaderValue::from_static("1"));
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), names.len());
    }

    #[test]
    fn sec_hop_05_nothing_that_tells_of_the_client_trails() {
        for name in [
            "x-consumer-username",
            "X-Credential-Identifier",
            "x-userinfo",
            "X-Forwarded-For",
            "forwarded",
            "x-real-ip",
            "X_Consumer_Username",
            "content_length",
        ] {
            assert!(!may_trail(name), "{name}");
        }
        assert!(may_trail("x_sum") && may_trail("x-sum") && may_trail("grpc-status"));
    }

    #[test]
    fn the_list_can_be_searched() {
        for name in ["accept", "host", "x-userinfo", "etag", "traceparent", "sec-websocket-key"] {
            assert!(is_end_to_end(name), "{name}");
        }
        assert!(!is_end_to_end("x-secret"));
    }
}
