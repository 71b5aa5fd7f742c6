//! In place of probes, where there is no network to send them over.
use std::sync::Arc;

use super::super::dispatch::Upstream;
use super::super::set::EndpointSet;
use super::config::HealthConfig;

/// Probes nobody.
#[derive(Debug)]
pub(super) struct Probing;

impl Probing {
    pub(super) fn new(_: &HealthConfig, _: &Upstream) -> Self {
        Self
    }

    pub(super) fn follow(&mut self, _: &Upstream, _: &Arc<EndpointSet>) {}

    pub(super) async fn changed(&mut self) {
        std::future::pending().await
    }
}
