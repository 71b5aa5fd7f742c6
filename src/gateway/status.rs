//! What an operator can ask a running gateway.
use std::sync::Arc;
use std::time::SystemTime;

use super::Faulty;
use crate::model::Finding;
use crate::upstream::{UpstreamStatus, Upstreams};

/// The state of the configuration.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Which configuration serves: 1 for what the gateway was built with, counting up with every change that was applied.
    pub revision: u64,
    /// When it was applied.
    pub applied_at: Option<SystemTime>,
    /// Configured routes in force.
    pub routes: usize,
    /// Warnings of the configuration in force, and the faults of items that were kept back or left out of it.
    pub findings: Arc<Vec<Finding>>,
    /// Faulty items whose predecessor serves on.
    pub kept: Arc<Vec<Faulty>>,
    /// Faulty items that were left out; a left-out route answers 503.
    pub left_out: Arc<Vec<Faulty>>,
    /// What the source last said, when it could not be read at all; the configuration in force is then the last good one.
    pub source_error: Option<String>,
    /// Configurations, or parts of them, that were refused since the start.
    pub rejected_total: u64,
    pub(super) live: Option<Upstreams>,
}

impl Status {
    /// Every upstream in use with its endpoints, their health included, as they are at the time of the call; by key.
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        let upstreams = self.live.iter().flat_map(Upstreams::all);
        let mut all: Vec<_> = upstreams.map(|upstream| upstream.status()).collect();
        all.sort_by(|a, b| a.key.as_str().cmp(b.key.as_str()));
        all
    }
}
