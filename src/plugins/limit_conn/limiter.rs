//! The decision, and what follows from it.
use std::sync::Arc;
use std::time::Duration;

use super::hold::{Place, Places, hold};
use super::plugin::{Crowds, NAME};
use super::rule::{Entries, Rule};
#[cfg(feature = "redis")]
use crate::Response;
use crate::error::Request;
use crate::plugin::{AroundLayer, ConfigError, Hop};
use crate::plugins::limit::{Answer, Degradation, Naming, by_workflow};
#[cfg(feature = "redis")]
use crate::plugins::limit::{BackendError, Releases};
use crate::{BoxFuture, Next};

/// Applies [`LimitConn`].
pub type LimitConnLayer = AroundLayer<LimitConn>;

/// A block of `limit-conn`, compiled.
pub struct LimitConn {
    pub(super) rules: Vec<Rule>,
    pub(super) naming: Naming,
    pub(super) unit: Duration,
    pub(super) answer: Answer,
    pub(super) degradation: Degradation,
    /// Stands aside where the same plugin has run as an action of a workflow.
    pub(super) action: bool,
    pub(super) crowds: Arc<Crowds>,
    #[cfg(feature = "redis")]
    pub(super) remote: Option<Remote>,
}

/// Crowds in Redis.
#[cfg(feature = "redis")]
pub(super) struct Remote {
    pub(super) releases: Arc<Releases>,
    /// Milliseconds.
    pub(super) ttl: u64,
}

/// How a request fared.
enum Fate {
    /// It has its places, and waits this often for the unit delay.
    Entered(Places, u64),
    Rejected,
    /// It could not be counted.
    Uncounted,
}

impl LimitConnLayer {
    /// A layer with crowds of its own; in Redis they are those of owner `code` and of equal configurations.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn new(config: super::LimitConnConfig) -> Result<Self, ConfigError> {
        super::LimitConnPlugin::default().layer(&config)
    }
}

impl LimitConn {
    /// Enters crowds of this process, all of them or none.
    fn enter_here(&self, entries: &Entries) -> Fate {
        let (mut places, mut units) = (Places::new(), 0_u64);
        for entry in entries {
            let Some((slot, running)) = self.crowds.slots.take(entry.name.key, entry.crowd.most()) else {
                return Fate::Rejected;
            };
            places.push(Place::Here(slot));
            units = units.saturating_add(entry.crowd.units(running));
        }
        Fate::Entered(places, units)
    }

    /// Enters crowds in Redis, all of them or none.
    #[cfg(feature = "redis")]
    async fn enter_in_redis(&self, remote: &Remote, entries: &Entries) -> Result<Fate, BackendError> {
        let (mut places, mut units) = (Places::new(), 0_u64);
        for entry in entries {
            let slot = remote.releases.take(&entry.name.text, entry.crowd.most(), remote.ttl).await?;
            let Some((slot, running)) = slot else { return Ok(Fate::Rejected) };
            places.push(Place::Redis(slot));
            units = units.saturating_add(entry.crowd.units(running));
        }
        Ok(Fate::Entered(places, units))
    }

    /// Answers, or sends the request on and has its answer hold the places.
    fn proceed(&self, fate: Fate, request: Request, next: &Next) -> BoxFuture {
        let (places, units) = match fate {
            Fate::Entered(places, units) => (places, units),
            Fate::Rejected => return Box::pin(std::future::ready(self.answer.rejected())),
            Fate::Uncounted if self.degradation == Degradation::Pass => return next.run(request),
            Fate::Uncounted => return Box::pin(std::future::ready(self.answer.failed())),
        };
        if units == 0 {
            let answer = next.run(request);
            return Box::pin(async move { hold(places, answer.await) });
        }
        let delay = self.unit.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX));
        let next = next.clone();
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            hold(places, next.run(request).await)
        })
    }

    #[cfg(feature = "redis")]
    async fn wait(self: Arc<Self>, entries: Entries, request: Request, next: Next) -> Response {
        let Some(remote) = &self.remote else { return next.run(request).await };
        let fate = match self.enter_in_redis(remote, &entries).await {
            Ok(fate) => fate,
            Err(_) if self.degradation == Degradation::Local => self.enter_here(&entries),
            Err(_) => Fate::Uncounted,
        };
        self.proceed(fate, request, &next).await
    }
}

impl Hop for LimitConn {
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture {
        if !self.action && by_workflow(&request, NAME) {
            return next.run(request);
        }
        let entries = Rule::entries(&self.rules, &self.naming, &request);
        if entries.is_empty() {
            return self.proceed(Fate::Uncounted, request, next);
        }
        #[cfg(feature = "redis")]
        if self.remote.is_some() {
            return Box::pin(Arc::clone(self).wait(entries, request, next.clone()));
        }
        self.proceed(self.enter_here(&entries), request, next)
    }
}
