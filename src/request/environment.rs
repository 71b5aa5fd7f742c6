//! What a request sees of the configuration beside its route.
use std::sync::Arc;

use super::{Consumers, CustomVars};

/// The parts of a configuration that layers read through the request, so that a request that is under way when the
/// configuration changes sees one of them from beginning to end (security.md CFG-01).
#[derive(Default)]
pub(crate) struct Environment {
    pub(crate) custom_vars: Arc<CustomVars>,
    pub(crate) consumers: Arc<Consumers>,
}
