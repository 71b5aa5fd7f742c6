//! Request fields that applications make answers out of and that no key holds (security.md CACHE-02).
use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

/// Names by which frameworks let a request say another host, path, scheme or method than it has.
const NAMES: [&str; 20] = [
    "forwarded",
    "front-end-https",
    "x-front-end-https",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-invoke-path",
    "x-method-override",
    "x-middleware-subrequest",
    "x-original-host",
    "x-original-method",
    "x-original-url",
    "x-original-uri",
    "x-real-ip",
    "x-rewrite-url",
    "x-url-scheme",
    "x-scheme",
    "x-wap-profile",
];
const PREFIX: &str = "x-forwarded";

/// What is taken off requests whose answers may be kept: everybody gets them, so nobody may choose them. Fields that are
/// part of the key stay.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Unkeyed {
    keyed: Vec<HeaderName>,
}

impl Unkeyed {
    /// All but those that are part of the key.
    pub(in super::super) fn but(keyed: Vec<HeaderName>) -> Self {
        Self { keyed }
    }

    /// Takes them off, but for those that a layer `wrote` itself.
    pub(super) fn take_off(&self, request: &mut HeaderMap, wrote: &[HeaderName]) {
        let is_doomed = |name: &&HeaderName| {
            let text = dashed(name.as_str());
            (text.starts_with(PREFIX) || NAMES.contains(&&*text)) && !self.keyed.contains(name) && !wrote.contains(name)
        };
        let doomed: Vec<_> = request.keys().filter(is_doomed).cloned().collect();
        for name in doomed {
            request.remove(name);
        }
    }
}

/// A name as applications behind a CGI or its like read it, to whom `_` and `-` are one.
fn dashed(name: &str) -> Cow<'_, str> {
    if name.contains('_') { name.replace('_', "-").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn sec_cache_02_fields_that_no_key_holds_come_off() {
        let names = [
            "x-forwarded-host",
            "x-forwarded-anything",
            "x-forwarded",
            "x-original-url",
            "x_original_url",
            "x-http_method_override",
            "x_forwarded_server",
            "x-middleware-subrequest",
            "x-forwarded-user",
            "x-host",
            "x-kept",
            "x_kept",
            "accept",
        ];
        let mut headers: HeaderMap =
            names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1"))).collect();
        Unkeyed::but(vec![HeaderName::from_static("x-host")])
            .take_off(&mut headers, &[HeaderName::from_static("x-forwarded-user")]);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-forwarded-user", "x-host", "x-kept", "x_kept"]);
    }
}
