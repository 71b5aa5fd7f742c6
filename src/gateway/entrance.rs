//! The way back into a gateway for its own plugins.
use std::sync::{Arc, OnceLock, Weak};

use tower::Service as _;

use super::answer::ready;
use super::handle::{Gateway, Inner};
use crate::Next;
use crate::error::{Error, IntoResponse as _};

/// Leads to the gateway once it is there: plugins are built before. A clone leads to the same one.
#[derive(Clone, Default)]
pub(crate) struct Entrance(Arc<OnceLock<Weak<Inner>>>);

impl Entrance {
    pub(super) fn lead_to(&self, gateway: &Arc<Inner>) {
        let _ = self.0.set(Arc::downgrade(gateway));
    }

    /// The gateway as a service, held weakly: it owns the plugins that have it.
    pub(super) fn next(&self) -> Next {
        let Self(place) = self.clone();
        Next::from_call(move |request| match place.get().and_then(Weak::upgrade) {
            None => ready(Error::Internal("gateway_gone").into_response()),
            Some(gateway) => {
                let answer = Gateway(gateway).call(request);
                Box::pin(async move { answer.await.unwrap_or_else(|never| match never {}) })
            }
        })
    }
}
