//! What an upstream with health checks has beside its endpoints.
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use http::StatusCode;
use tokio::sync::Notify;

use super::super::error::Error;
use super::super::set::{EndpointSet, Slot};
use super::config::HealthConfig;
use super::judge::Judge;
use super::outcome::Outcome;
use super::record::Health;

/// Health checks of one upstream.
#[derive(Debug)]
pub(crate) struct HealthWatch {
    pub(super) judge: Judge,
    /// A verdict fell that the set of endpoints does not know of.
    pub(super) dirty: AtomicBool,
    /// There is a verdict, or another set of endpoints.
    pub(super) news: Notify,
}

impl HealthWatch {
    pub(crate) fn new(config: HealthConfig) -> Self {
        Self { judge: Judge::new(config), dirty: AtomicBool::new(false), news: Notify::new() }
    }

    /// Whether attempts are to be told.
    pub(crate) fn hears_traffic(&self) -> bool {
        self.judge.hears_traffic()
    }

    /// Takes how an attempt at `slot` ended; each says so once (upstream.md §7.3).
    pub(crate) fn observe(&self, set: &EndpointSet, slot: &Slot, ended: Result<StatusCode, &Error>) {
        let Some(outcome) = Outcome::of(ended) else { return };
        if self.judge.observe(slot.state.health(), outcome, || counted(set)) {
            self.is_dirty();
            self.news.notify_one();
        }
    }

    /// The set of endpoints is to be made anew.
    pub(super) fn is_dirty(&self) {
        self.dirty.swap(true, SeqCst);
    }

    /// The set of endpoints is another one, or the upstream has gone.
    pub(crate) fn renewed(&self) {
        self.news.notify_one();
    }
}

/// Those of which not all may be taken out by requests: who gets none of them would make no difference.
pub(super) fn counted(set: &EndpointSet) -> impl Iterator<Item = &Health> {
    let heaviest = set.slots.iter().map(|slot| slot.member.weight).max().unwrap_or(0);
    set.slots.iter().filter(move |slot| slot.member.weight > 0 || heaviest == 0).map(|slot| &**slot.state.health())
}
