//! The decision, and what follows from it.
use std::sync::Arc;
use std::time::Duration;

use super::plugin::Buckets;
#[cfg(feature = "redis")]
use crate::Response;
use crate::error::Request;
use crate::plugin::{AroundLayer, ConfigError, Hop};
#[cfg(feature = "redis")]
use crate::plugins::limit::Link;
use crate::plugins::limit::{Admission, Answer, CounterKey, Degradation, Leak, Name, Naming};
use crate::{BoxFuture, Next};

/// Applies [`LimitReq`].
pub type LimitReqLayer = AroundLayer<LimitReq>;

/// A block of `limit-req`, compiled.
pub struct LimitReq {
    pub(super) key: CounterKey,
    pub(super) naming: Naming,
    pub(super) leak: Leak,
    pub(super) nodelay: bool,
    pub(super) answer: Answer,
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "counters of this process do not fail"))]
    pub(super) degradation: Degradation,
    pub(super) place: Place,
    /// Keys that there may be in this process.
    pub(super) bound: usize,
    pub(super) buckets: Arc<Buckets>,
}

/// Where the buckets are.
pub(super) enum Place {
    Here,
    #[cfg(feature = "redis")]
    Redis(Arc<Link>),
}

/// How a request fared.
enum Fate {
    Counted(Admission),
    #[cfg(feature = "redis")]
    Uncounted,
}

impl LimitReqLayer {
    /// A layer with buckets of its own; in Redis they are those of owner `code` and of equal configurations.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn new(config: super::LimitReqConfig) -> Result<Self, ConfigError> {
        super::LimitReqPlugin::default().layer(&config)
    }
}

impl LimitReq {
    /// Pours a request into a bucket of this process.
    fn pour_here(&self, name: &Name) -> Admission {
        let now = self.buckets.clock.now();
        self.buckets.store.update(self.bound, name.key, now, |bucket| bucket.pour(now, self.leak))
    }

    /// Answers, or sends the request on at once or after a while.
    fn proceed(&self, fate: Fate, request: Request, next: &Next) -> BoxFuture {
        let delay = match fate {
            Fate::Counted(Admission::After(delay)) => delay,
            Fate::Counted(Admission::Rejected) => return Box::pin(std::future::ready(self.answer.rejected())),
            #[cfg(feature = "redis")]
            Fate::Uncounted if self.degradation == Degradation::Pass => 0,
            #[cfg(feature = "redis")]
            Fate::Uncounted => return Box::pin(std::future::ready(self.answer.failed())),
        };
        if delay == 0 || self.nodelay {
            return next.run(request);
        }
        let next = next.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            next.run(request).await
        })
    }

    #[cfg(feature = "redis")]
    async fn wait(self: Arc<Self>, link: Arc<Link>, name: Name, request: Request, next: Next) -> Response {
        let fate = match link.pour(&name.text, self.leak).await {
            Ok(admission) => Fate::Counted(admission),
            Err(_) if self.degradation == Degradation::Local => Fate::Counted(self.pour_here(&name)),
            Err(_) => Fate::Uncounted,
        };
        self.proceed(fate, request, &next).await
    }
}

impl Hop for LimitReq {
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture {
        // the key of a block is never left out
        let Some(name) = self.key.name(&self.naming, &request) else { return next.run(request) };
        match &self.place {
            Place::Here => self.proceed(Fate::Counted(self.pour_here(&name)), request, next),
            #[cfg(feature = "redis")]
            Place::Redis(link) => Box::pin(Arc::clone(self).wait(Arc::clone(link), name, request, next.clone())),
        }
    }
}
