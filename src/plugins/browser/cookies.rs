//! The cookies of requests (RFC 6265).
use http::header::{COOKIE, HeaderMap, HeaderValue};

/// Every cookie of a request, in order.
pub(in crate::plugins) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='))
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
    let kept: Vec<String> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'))
        .map(|pair| pair.trim().to_owned())
        .filter(|pair| !pair.is_empty() && !is_own(pair.split('=').next().unwrap_or_default()))
        .collect();
    headers.remove(COOKIE);
    if let Ok(value) = HeaderValue::from_str(&kept.join("; "))
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
}
