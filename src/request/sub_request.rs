//! Requests that a plugin sends through the gateway for another one.

/// Request extension: another request brought this one along, and its client was found out there. What the fields of this one
/// say of its client was written by the client himself (security.md PLG-05).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubRequest;

impl SubRequest {
    pub(crate) fn is<B>(request: &http::Request<B>) -> bool {
        request.extensions().get::<Self>().is_some()
    }
}
