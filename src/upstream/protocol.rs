//! Which version of HTTP an endpoint is spoken to in.
#[cfg(feature = "client")]
use super::config::Scheme;

/// Version of HTTP towards the endpoints of scheme `http` or `https`; those of `grpc` and `grpcs` always speak 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.1. The default.
    #[default]
    Http1,
    /// HTTP/2: with TLS agreed upon by ALPN, else with prior knowledge (RFC 9113 §3.3). An endpoint that does not speak it
    /// fails. Upgrades do not exist in it: a wish for one is not passed on.
    Http2,
    /// With TLS what the endpoint prefers (ALPN), but HTTP/1.1 for upgrades; without, HTTP/1.1.
    Auto,
}

/// What may be spoken on the connections to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg(feature = "client")]
pub(crate) enum Wire {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone.
    Http2,
    /// What TLS agrees upon.
    Either,
}

#[cfg(feature = "client")]
impl Wire {
    pub(crate) const fn new(scheme: Scheme, version: HttpVersion) -> Self {
        match (scheme, version) {
            (Scheme::Grpc | Scheme::Grpcs, _) | (_, HttpVersion::Http2) => Self::Http2,
            (Scheme::Https, HttpVersion::Auto) if cfg!(feature = "http2") => Self::Either,
            (Scheme::Http | Scheme::Https, HttpVersion::Http1 | HttpVersion::Auto) => Self::Http1,
        }
    }
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoken() {
        for (scheme, version, wire) in [
            (Scheme::Http, HttpVersion::Http1, Wire::Http1),
            (Scheme::Http, HttpVersion::Auto, Wire::Http1),
            (Scheme::Http, HttpVersion::Http2, Wire::Http2),
            (Scheme::Https, HttpVersion::Http1, Wire::Http1),
            (Scheme::Https, HttpVersion::Http2, Wire::Http2),
            (Scheme::Grpc, HttpVersion::Http1, Wire::Http2),
            (Scheme::Grpcs, HttpVersion::Auto, Wire::Http2),
        ] {
            assert_eq!(Wire::new(scheme, version), wire, "{scheme:?} {version:?}");
        }
        let either = if cfg!(feature = "http2") { Wire::Either } else { Wire::Http1 };
        assert_eq!(Wire::new(Scheme::Https, HttpVersion::Auto), either);
    }
}
