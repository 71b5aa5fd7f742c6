//! Addresses of services, as configuration writes them.
use http::Uri;

use crate::host::is_host;

/// Why a text is no address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUri {
    /// Not an absolute `http` or `https` URI.
    #[error("is no address of a service: write one such as `https://auth.example.com/check`")]
    Form,
    /// `https` without the feature that speaks it.
    #[error("is `https`, which needs a build with the feature `tls`")]
    NoTls,
}

/// Reads the address of a service: an absolute URI of scheme `http` or `https`, without user name and fragment.
///
/// # Errors
/// [`BadUri`], when no call could go there.
pub fn http_uri(text: &str) -> Result<Uri, BadUri> {
    if text.contains('#') {
        return Err(BadUri::Form);
    }
    let uri: Uri = text.parse().map_err(|_| BadUri::Form)?;
    if !uri.authority().is_some_and(|authority| is_host(authority.as_str().as_bytes())) {
        return Err(BadUri::Form);
    }
    match uri.scheme_str() {
        Some("http") => Ok(uri),
        Some("https") if cfg!(feature = "tls") => Ok(uri),
        Some("https") => Err(BadUri::NoTls),
        _ => Err(BadUri::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_are_services() {
        for good in ["http://a", "http://127.0.0.1:9/x?y=z", "http://[::1]:80/"] {
            assert!(http_uri(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/path",
            "a:80",
            "ftp://a/",
            "file:///etc/passwd",
            "http://u:p@a/",
            "http://a/#f",
            "http:///x",
            "http://a b/",
        ] {
            assert_eq!(http_uri(bad), Err(BadUri::Form), "{bad}");
        }
        assert_eq!(http_uri("https://a/").is_ok(), cfg!(feature = "tls"));
    }
}
