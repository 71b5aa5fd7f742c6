//! Users that another system has identified.
use std::sync::Arc;

use serde_json::Value;

/// Request extension: the user as an outer system describes it, such as the claims that an OpenID provider states.
///
/// It is no [`Consumer`](super::Consumer): nothing is configured for it. A clone is one reference count.
#[derive(Clone, Debug)]
pub struct ExternalUser(Arc<Value>);

impl ExternalUser {
    /// A user of that description.
    pub fn new(description: Value) -> Self {
        Self(Arc::new(description))
    }

    /// What is said of the user.
    pub fn description(&self) -> &Value {
        &self.0
    }

    /// The user of a request, if it has one.
    pub fn of<B>(request: &http::Request<B>) -> Option<&Self> {
        request.extensions().get()
    }
}
