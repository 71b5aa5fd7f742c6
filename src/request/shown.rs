//! What a layer says of a request towards the upstream, in place of what the gateway would say.
use http::HeaderValue;

/// Request extension, in a `Box`: fields that the upstream client writes by itself, as a layer wants them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShownAs {
    /// `Host`; wins over the upstream's `pass_host` (upstream.md §5).
    pub(crate) host: Option<HeaderValue>,
    /// `X-Forwarded-Proto`; empty = not sent.
    pub(crate) proto: Option<HeaderValue>,
    /// `X-Forwarded-Host`; empty = not sent.
    pub(crate) forwarded_host: Option<HeaderValue>,
    /// `X-Forwarded-Port`; empty = not sent.
    pub(crate) port: Option<HeaderValue>,
}
