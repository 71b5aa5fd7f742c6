//! Whether the client's side of the way is encrypted.
use super::SharedFacts;
use crate::ConnectInfo;

/// Whether the client speaks TLS: to this gateway, or to the trusted proxy before it, which says so in
/// `X-Forwarded-Proto` (model.md §8.2). Outside of a gateway no proxy is trusted.
pub fn is_secure<B>(request: &http::Request<B>) -> bool {
    let Some(facts) = SharedFacts::of(request) else {
        return request.extensions().get::<ConnectInfo>().is_some_and(|info| info.tls);
    };
    match facts.arrival.reported.as_ref().and_then(|reported| reported.proto.as_ref()) {
        Some(proto) => proto.as_bytes().eq_ignore_ascii_case(b"https"),
        None => facts.connection.as_ref().is_some_and(|connection| connection.tls),
    }
}
