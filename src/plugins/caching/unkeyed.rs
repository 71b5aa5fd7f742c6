//! Request fields that applications make answers out of and that no key holds (security.md CACHE-02).
use std::borrow::Cow;

use http::HeaderName;
use http::header::FORWARDED;

use crate::request::{CallerFields, SharedFacts};

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

/// Fields that inside of a gateway are no client's: they come off on arrival, so one that is there a plugin has written by its
/// configuration. They are part of the key, and go on. (Of the others that come off on arrival the upstream client writes its own.)
pub(in super::super) const OF_THE_GATEWAY: [HeaderName; 2] = [FORWARDED, HeaderName::from_static("x-forwarded-prefix")];

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

    /// Takes them off, but for those that a layer wrote itself.
    pub(super) fn take_off<B>(&self, request: &mut http::Request<B>) {
        let told = request.extensions().get::<CallerFields>();
        let in_gateway = SharedFacts::of(request).is_some();
        let is_written = |name: &HeaderName| {
            told.is_some_and(|told| told.names().any(|other| other == name))
                || in_gateway && OF_THE_GATEWAY.contains(name)
        };
        let is_doomed = |name: &&HeaderName| {
            let text = dashed(name.as_str());
            (text.starts_with(PREFIX) || NAMES.contains(&&*text)) && !self.keyed.contains(name) && !is_written(name)
        };
        let doomed: Vec<_> = request.headers().keys().filter(is_doomed).cloned().collect();
        for name in doomed {
            request.headers_mut().remove(name);
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
        let mut request = http::Request::new(());
        for name in names {
            request.headers_mut().insert(name, HeaderValue::from_static("1"));
        }
        CallerFields::add(request.extensions_mut(), &[HeaderName::from_static("x-forwarded-user")].into());
        Unkeyed::but(vec![HeaderName::from_static("x-host")]).take_off(&mut request);
        let mut left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-forwarded-user", "x-host", "x-kept", "x_kept"]);
    }
}
