//! Fields that tell of a body, for plugins that give a message another one.
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
};

/// Digests of the very bytes (RFC 9530, and what came before it).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Takes off what was said of the old body: its length, coding, validators, digests, and which part of it this was.
pub(super) fn forget(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, ACCEPT_RANGES, ETAG, LAST_MODIFIED] {
        headers.remove(name);
    }
    for name in &DIGESTS {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_was_said_of_the_old_body_goes_and_the_rest_stays() {
        let mut headers = HeaderMap::new();
        for name in [
            "content-length",
            "content-encoding",
            "content-range",
            "accept-ranges",
            "etag",
            "last-modified",
            "content-digest",
            "repr-digest",
            "digest",
            "content-md5",
            "content-type",
            "cache-control",
        ] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        forget(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["cache-control", "content-type"]);
    }
}
