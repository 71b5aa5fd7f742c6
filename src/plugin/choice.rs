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

/// Request extension beside an [`UpstreamChoice`]: plugins further in leave it as it is, since the route's own
/// upstreams are what is to be spared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChoiceStands;

/// Response extension: the answer of an upstream that stands in for another for a while. It is not kept, or it would stand in for
/// longer than that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StandIn;

/// Request extension of a copy that goes to another upstream than its original: it is not copied again, and has the
/// `Host` that the original gets. What it holds is the original's choice of an upstream, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct CopyOf(pub(crate) Option<UpstreamChoice>);
