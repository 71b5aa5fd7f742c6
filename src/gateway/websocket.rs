//! The opening handshake of WebSocket (RFC 6455 §4.2.1), judged before an upstream is asked (security.md UPG-06).
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Method};

use crate::error::{Error, Request};

/// Refuses (400) a request for a WebSocket that no server could grant: another method than `GET`, another version than
/// 13, no single key of 16 bytes in base64.
pub(super) fn judge_handshake(request: &Request) -> Result<(), Error> {
    let headers = request.headers();
    let version = only(headers, &SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = only(headers, &SEC_WEBSOCKET_KEY).is_some_and(|key| is_key(key.as_bytes()));
    if *request.method() == Method::GET && version && key { Ok(()) } else { Err(Error::BadRequest("websocket")) }
}

/// The value of a field that stands once.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Base64 of 16 bytes: 22 characters, of which the last holds two bits, and two of padding.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    match key.strip_suffix(b"==") {
        Some(digits @ [.., b'A' | b'Q' | b'g' | b'w']) => digits.len() == 22 && digits.iter().all(is_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_upg_06_handshakes() {
        let request = |method: &str, key: &str, version: &str| {
            let request = http::Request::builder().method(method).header(SEC_WEBSOCKET_KEY, key);
            request.header(SEC_WEBSOCKET_VERSION, version).body(crate::Body::empty()).unwrap()
        };
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert!(judge_handshake(&request("GET", key, "13")).is_ok());
        for (method, key, version) in [
            ("POST", key, "13"),
            ("GET", key, "8"),
            ("GET", key, "13, 8"),
            ("GET", "", "13"),
            ("GET", "dGhlIHNhbXBsZSBub25jZQ", "13"),
            ("GET", "dGhlIHNhbXBsZSBub25jZS4=", "13"),
            ("GET", "dGhlIHNhbXBsZSBub25jZR==", "13"),
            ("GET", "dGhlIHNhbXBsZ*Bub25jZQ==", "13"),
        ] {
            assert!(judge_handshake(&request(method, key, version)).is_err(), "{method} {key} {version}");
        }
        let mut twice = request("GET", key, "13");
        twice.headers_mut().append(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(judge_handshake(&twice).is_err());
    }
}
