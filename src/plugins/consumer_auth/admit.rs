//! Plugins that may have to wait until they know who calls.
use std::future::Future;
use std::sync::Arc;

use crate::Next;
use crate::error::{Request, Response};
use crate::plugin::Around;

/// Finds out who calls, and attaches the consumer.
pub(crate) trait Admit: Send + Sync + 'static {
    /// # Errors
    /// The answer, if the request is not to go on.
    fn admit(&self, request: &mut Request) -> impl Future<Output = Result<(), Response>> + Send;
}

impl<A: Admit> Around for A {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        match self.admit(&mut request).await {
            Ok(()) => next.run(request).await,
            Err(answer) => answer,
        }
    }
}
