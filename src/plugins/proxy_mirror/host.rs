//! Where a mirror is.
use http::uri::Authority;

use crate::host::is_host;

/// The parts of `host`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MirrorHost {
    pub(super) scheme: &'static str,
    /// Without brackets.
    pub(super) name: String,
    pub(super) port: u16,
}

impl MirrorHost {
    /// Reads `scheme://host[:port]`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let (scheme, usual) = match scheme {
            "http" => ("http", 80),
            "https" => ("https", 443),
            "grpc" => ("grpc", 80),
            "grpcs" => ("grpcs", 443),
            _ => return None,
        };
        if !is_host(authority.as_bytes()) {
            return None;
        }
        let authority: Authority = authority.parse().ok()?;
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { scheme, name, port: authority.port_u16().unwrap_or(usual) })
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_host_has_a_scheme_and_no_path() {
        for (text, parts) in [
            ("http://10.0.0.9", ("http", "10.0.0.9", 80)),
            ("https://shadow.test:8443", ("https", "shadow.test", 8443)),
            ("grpc://[::1]:50051", ("grpc", "::1", 50051)),
            ("grpcs://a", ("grpcs", "a", 443)),
        ] {
            let (scheme, name, port) = parts;
            assert_eq!(MirrorHost::parse(text), Some(MirrorHost { scheme, name: name.to_owned(), port }), "{text}");
        }
        for text in
            ["", "10.0.0.9", "ftp://a", "http://", "http://a/", "http://a/b", "http://u@a", "http://a?b", "http://a:x"]
        {
            assert_eq!(MirrorHost::parse(text), None, "{text}");
        }
    }
}
