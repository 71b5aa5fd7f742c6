//! The token that a request carries.
use http::HeaderValue;

use crate::plugins::consumer_auth::without_bearer;

/// The value of `Authorization` with the scheme, which clients may leave out. `None` for what Keycloak need not be asked about, as
/// it has not the form of a JWT (RFC 7519 §3): another scheme, with a password perhaps, or anything else.
pub(super) fn bearer(value: &HeaderValue) -> Option<HeaderValue> {
    let token = without_bearer(value.as_bytes());
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut parts = 0;
    for part in token.split(|byte| *byte == b'.') {
        parts += 1;
        if part.is_empty() || !part.iter().copied().all(is_encoded) {
            return None;
        }
    }
    if parts != 3 {
        return None;
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_jwt_is_a_token() {
        for good in ["Bearer a.b-_9.c", "a.b-_9.c", "bEARER   a.b-_9.c"] {
            let value = bearer(&HeaderValue::from_static(good)).unwrap();
            assert!(value == "Bearer a.b-_9.c" && value.is_sensitive(), "{good}");
        }
        for bad in [
            "",
            "x",
            "Bearer",
            "Bearer x",
            "a.b",
            "a.b.",
            ".b.c",
            "a.b.c.d",
            "a.b.c.d.e",
            "Basic YTpi",
            "a b.c.d",
            "a.b.c=",
            "Bearer Bearer a.b.c",
            "DPoP a.b.c",
        ] {
            assert_eq!(bearer(&HeaderValue::from_static(bad)), None, "{bad}");
        }
    }
}
