//! Another upstream than the route's.
use std::fmt;
use std::sync::Arc;

use crate::upstream::Upstream;

/// Request extension: the end of the chain sends the request to this upstream in place of the route's.
#[derive(Clone)]
pub struct UpstreamChoice(pub Arc<Upstream>);

impl fmt::Debug for UpstreamChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamChoice({})", self.0.config().key.as_str())
    }
}
