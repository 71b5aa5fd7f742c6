//! The opening handshake of WebSocket (RFC 6455 §4.2.1), judged before an upstream is asked (security.md UPG-06).
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Method};

use crate::error::Error;

/// Refuses (400) a request for a WebSocket that no server could grant: another method than `GET`, another version than
/// 13, no single key of 16 bytes in base64.
pub(super) fn judge_handshake(method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    let version = only(headers, &SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = only(headers, &SEC_WEBSOCKET_KEY).is_some_and(|key| is_key(key.as_bytes()));
    if *method == Method::GET && version && key { Ok(()) } else { Err(Error::BadRequest("websocket")) }
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
        let judge = |method: &str, fields: &[(http::HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            judge_handshake(&Method::from_bytes(method.as_bytes()).unwrap(), &headers)
        };
        let fields = |key, version| [(SEC_WEBSOCKET_KEY, key), (SEC_WEBSOCKET_VERSION, version)];
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert!(judge("GET", &fields(key, "13")).is_ok());
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
            assert!(judge(method, &fields(key, version)).is_err(), "{method} {key} {version}");
        }
        let twice = [(SEC_WEBSOCKET_KEY, key), (SEC_WEBSOCKET_KEY, key), (SEC_WEBSOCKET_VERSION, "13")];
        assert!(judge("GET", &twice).is_err());
    }
}
