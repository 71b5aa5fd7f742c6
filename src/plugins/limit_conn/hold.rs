//! Places that are held for as long as a request runs.
use smallvec::SmallVec;

use crate::held::{Held, HeldStream};
#[cfg(feature = "redis")]
use crate::plugins::limit::RemoteSlot;
use crate::plugins::limit::Slot;
use crate::{Body, Response, UpgradedIo};

/// A place in a crowd, given back when it is dropped.
pub(super) enum Place {
    #[expect(dead_code, reason = "held to be dropped")]
    Here(Slot),
    #[cfg(feature = "redis")]
    #[expect(dead_code, reason = "held to be dropped")]
    Redis(RemoteSlot),
}

/// The places of one request.
pub(super) type Places = SmallVec<[Place; 1]>;

/// Has an answer hold the places until its body, or the tunnel behind it, has come to its end.
pub(super) fn hold(places: Places, response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(upgraded) = head.extensions.remove::<UpgradedIo>() {
        let held = match upgraded.take() {
            Some((io, early)) => UpgradedIo::new(HeldStream::new(io, places), early),
            None => upgraded.clone(),
        };
        let held = match upgraded.idle_timeout() {
            Some(idle_timeout) => held.with_idle_timeout(idle_timeout),
            None => held,
        };
        head.extensions.insert(held);
        return Response::from_parts(head, body);
    }
    // what is in memory already needs nobody's work any more
    if body.as_bytes().is_some() {
        return Response::from_parts(head, body);
    }
    Response::from_parts(head, Body::stream(Held::new(body, places)))
}
