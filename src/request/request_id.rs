//! The id of a request.
use http::HeaderValue;

/// Request extension: the id that a layer has given the request, which the variable `request_id` tells. Where there is
/// none, the variable is the field `X-Request-Id`.
#[derive(Clone, Debug)]
pub struct RequestIdentity(pub HeaderValue);
