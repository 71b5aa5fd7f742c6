//! The cookies of requests (RFC 6265).
use http::header::{COOKIE, HeaderMap, HeaderValue};

/// What stands between semicolons. Browsers send whatever bytes a page or another host of the domain has set: one such
/// cookie must not hide the others.
fn parts(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let parts = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    parts.map(<[u8]>::trim_ascii)
}

/// Every cookie of a request that is text, in order.
pub(in crate::plugins) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    parts(headers).filter_map(|part| std::str::from_utf8(part).ok()?.split_once('='))
}

/// The first cookie of that name.
pub(in crate::plugins) fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    pairs(headers).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Takes our own cookies out of a request: they are for the gateway, and would let their reader act as the user.
pub(in crate::plugins) fn strip(headers: &mut HeaderMap, is_own: impl Fn(&str) -> bool) {
    if !pairs(headers).any(|(name, _)| is_own(name)) {
        return;
    }
    let is_own = |part: &[u8]| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        std::str::from_utf8(name).is_ok_and(&is_own)
    };
    let kept: Vec<&[u8]> = parts(headers).filter(|part| !part.is_empty() && !is_own(part)).collect();
    let kept = kept.join(&b"; "[..]);
    headers.remove(COOKIE);
    if let Ok(value) = HeaderValue::from_bytes(&kept)
        && !kept.is_empty()
    {
        headers.insert(COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cookies_do_not_go_upstream_and_others_do() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; own=x;b"));
        headers.append(COOKIE, HeaderValue::from_static("own=y; c==2"));
        assert_eq!((find(&headers, "own"), find(&headers, "c"), find(&headers, "b")), (Some("x"), Some("=2"), None));
        strip(&mut headers, |name| name == "own");
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b; c==2"]);
        headers.insert(COOKIE, HeaderValue::from_static("own=z"));
        strip(&mut headers, |name| name == "own");
        assert!(headers.is_empty());
    }

    #[test]
    fn a_cookie_that_is_no_ascii_hides_no_other() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_bytes("name=Zoë; own=x; k=1".as_bytes()).unwrap());
        headers.append(COOKIE, HeaderValue::from_bytes(b"other=\xff; \xff=1; own=y").unwrap());
        assert_eq!((find(&headers, "own"), find(&headers, "name")), (Some("x"), Some("Zoë")));
        assert_eq!((find(&headers, "other"), pairs(&headers).count()), (None, 4));
        strip(&mut headers, |name| name == "own");
        let kept = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        assert_eq!(kept, [[b"name=Zo\xc3\xab; k=1; other=", &b"\xff; \xff=1"[..]].concat()]);
    }
}
