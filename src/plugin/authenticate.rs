//! Finding out who calls.
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use super::{AuthPlugin, Gate};
use crate::error::{Request, Response};
use crate::request::{Consumer, Consumers, SharedFacts};

/// The decision of an authentication plugin: it attaches a [`Consumer`] to the request, or says why not. A request that
/// it refuses is as it was. Every [`Gate`] of an authentication plugin is one.
pub trait Authenticate: Send + Sync + 'static {
    /// Identifies the caller. `Err` is the answer if nobody else identifies him.
    fn authenticate<'a>(&'a self, request: &'a mut Request) -> Authenticating<'a>;
}

/// Future of [`Authenticate`].
pub type Authenticating<'a> = Pin<Box<dyn Future<Output = Result<(), Response>> + Send + 'a>>;

impl<G: Gate> Authenticate for G {
    fn authenticate<'a>(&'a self, request: &'a mut Request) -> Authenticating<'a> {
        Box::pin(ready(self.check(request)))
    }
}

/// Where an authentication layer finds consumers: in a set that it was given in code, or in the configuration that a
/// request began with.
#[derive(Clone, Debug)]
pub struct ConsumerLookup(Option<Arc<Consumers>>);

impl ConsumerLookup {
    /// A set in code, the same for every request.
    pub fn fixed(consumers: Arc<Consumers>) -> Self {
        Self(Some(consumers))
    }

    /// The consumers of the gateway's configuration.
    pub fn of_request() -> Self {
        Self(None)
    }

    /// The consumers that count for a request; `None` outside of a gateway without a set of one's own.
    pub fn consumers<'r, B>(&'r self, request: &'r http::Request<B>) -> Option<&'r Consumers> {
        match &self.0 {
            Some(fixed) => Some(fixed),
            None => SharedFacts::of(request).map(|facts| &*facts.environment.consumers),
        }
    }

    /// The consumer whose block of plugin `P` has this identifier, and what is kept beside it.
    pub fn find<'r, P: AuthPlugin, B>(
        &'r self,
        request: &'r http::Request<B>,
        identifier: &[u8],
    ) -> Option<(&'r Consumer, &'r P::Secret)> {
        let found = self.consumers(request)?.find(P::NAME, identifier)?;
        Some((&found.consumer, found.secret.downcast_ref()?))
    }

    /// The consumer of that name, such as an anonymous one.
    pub fn by_name<'r, B>(&'r self, request: &'r http::Request<B>, name: &str) -> Option<&'r Consumer> {
        self.consumers(request)?.by_name(name)
    }
}

impl From<Arc<Consumers>> for ConsumerLookup {
    fn from(consumers: Arc<Consumers>) -> Self {
        Self::fixed(consumers)
    }
}
