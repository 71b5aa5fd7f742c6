//! The decision, and what follows from it.
use std::sync::Arc;

use smallvec::SmallVec;

use super::config::{LimitCountConfig, WindowType};
use super::groups::Member;
use super::plugin::Counters;
use super::rule::{Charges, Rule, Told};
#[cfg(feature = "redis")]
use crate::error::reject_error_msg;
use crate::error::{Request, Response};
use crate::plugin::{AroundLayer, ConfigError, Hop};
use crate::plugins::limit::{Answer, Degradation, Naming, by_workflow};
#[cfg(feature = "redis")]
use crate::plugins::limit::{Ask, BackendError, Delayed, Link, Verdict};
use crate::{BoxFuture, Exchange, Next, RateLimit};

/// Applies [`LimitCount`].
pub type LimitCountLayer = AroundLayer<LimitCount>;

/// A block of `limit-count`, compiled.
pub struct LimitCount {
    rules: Vec<Rule>,
    naming: Naming,
    sliding: bool,
    answer: Answer,
    degradation: Degradation,
    tells: bool,
    /// Stands aside where the same plugin has run as an action of a workflow.
    action: bool,
    counting: Counting,
    counters: Arc<Counters>,
    /// Keys that there may be in this process.
    bound: usize,
    _member: Option<Arc<Member>>,
}

/// Where the counters are.
pub(super) enum Counting {
    Here,
    #[cfg(feature = "redis")]
    Redis(Arc<Link>),
    #[cfg(feature = "redis")]
    Delayed {
        delayed: Arc<Delayed>,
        link: Arc<Link>,
    },
}

/// What is made of a block beside its rules.
pub(super) struct Parts {
    pub(super) rules: Vec<Rule>,
    pub(super) naming: Naming,
    pub(super) answer: Answer,
    pub(super) action: bool,
    pub(super) counting: Counting,
    pub(super) counters: Arc<Counters>,
    pub(super) bound: usize,
    pub(super) member: Option<Arc<Member>>,
}

/// What the counters of a request said, in order; the last one may have rejected it.
type Tellings = SmallVec<[Told; 1]>;

/// How a request fared.
enum Fate {
    Counted(Tellings),
    /// It could not be counted.
    Uncounted(Trouble),
}

/// Why a request could not be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// No rule has anything of it, or a number is none.
    Numbers,
    #[cfg(feature = "redis")]
    Redis,
}

impl LimitCountLayer {
    /// A layer with counters of its own; in Redis they are those of owner `code` and of equal configurations.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn new(config: LimitCountConfig) -> Result<Self, ConfigError> {
        super::LimitCountPlugin::default().layer(&config)
    }
}

impl LimitCount {
    pub(super) fn new(config: &LimitCountConfig, parts: Parts) -> Self {
        let Parts { rules, naming, answer, action, counting, counters, bound, member } = parts;
        Self {
            rules,
            naming,
            sliding: config.window_type == WindowType::Sliding,
            answer,
            degradation: config.backend.degradation(),
            tells: config.show_limit_quota_header,
            action,
            counting,
            counters,
            bound,
            _member: member,
        }
    }

    /// Charges counters of this process, in order, up to the first that rejects.
    fn count_here(&self, charges: &Charges) -> Tellings {
        let now = self.counters.clock.now();
        let mut tellings = Tellings::new();
        for charge in charges {
            let verdict = self.counters.windows.update(self.bound, charge.name.key, now, |window| match self.sliding {
                false => window.fixed(now, charge.width, charge.limit),
                true => window.sliding(now, charge.width, charge.limit),
            });
            tellings.push(Told { rule: charge.rule, limit: charge.limit, verdict });
            if !verdict.admitted {
                break;
            }
        }
        tellings
    }

    /// Charges delayed counters as far as what is known here allows.
    #[cfg(feature = "redis")]
    fn count_delayed(delayed: &Arc<Delayed>, charges: &Charges) -> Tellings {
        let mut tellings = Tellings::new();
        for charge in charges {
            let ask = Ask { key: charge.name.key, width: charge.width, limit: charge.limit };
            let Some(verdict) = delayed.decide(ask) else { break };
            tellings.push(Told { rule: charge.rule, limit: charge.limit, verdict });
            if !verdict.admitted {
                break;
            }
        }
        tellings
    }

    /// Charges counters in Redis, those behind what `tellings` has already.
    #[cfg(feature = "redis")]
    async fn count_in_redis(&self, charges: &Charges, mut tellings: Tellings) -> Result<Tellings, BackendError> {
        for charge in charges.iter().skip(tellings.len()) {
            let verdict = match &self.counting {
                Counting::Delayed { delayed, .. } if charge.width > delayed.interval_ms() => {
                    let ask = Ask { key: charge.name.key, width: charge.width, limit: charge.limit };
                    match delayed.decide(ask) {
                        Some(verdict) => verdict,
                        None => delayed.ask(ask, &charge.name.text).await,
                    }
                }
                Counting::Redis(link) | Counting::Delayed { link, .. } if self.sliding => {
                    link.sliding(&charge.name.text, charge.width, charge.limit).await?
                }
                Counting::Redis(link) | Counting::Delayed { link, .. } => {
                    let (used, left) = link.fixed(&charge.name.text, 1, charge.width).await?;
                    let remaining = charge.limit.saturating_sub(used);
                    Verdict { admitted: used <= charge.limit, remaining, reset: left }
                }
                Counting::Here => break,
            };
            tellings.push(Told { rule: charge.rule, limit: charge.limit, verdict });
            if !verdict.admitted {
                break;
            }
        }
        Ok(tellings)
    }

    /// Decides without waiting; `Err` has the charges of a request for which Redis has to be asked, and what was said already.
    fn decide<B>(&self, request: &http::Request<B>) -> Result<Fate, (Charges, Tellings)> {
        let charges = Rule::charges(&self.rules, &self.naming, request).filter(|charges| !charges.is_empty());
        let Some(charges) = charges else { return Ok(Fate::Uncounted(Trouble::Numbers)) };
        match &self.counting {
            Counting::Here => Ok(Fate::Counted(self.count_here(&charges))),
            #[cfg(feature = "redis")]
            Counting::Redis(_) => Err((charges, Tellings::new())),
            #[cfg(feature = "redis")]
            Counting::Delayed { delayed, .. } => {
                if charges.iter().any(|charge| charge.width <= delayed.interval_ms()) {
                    return Err((charges, Tellings::new()));
                }
                let tellings = Self::count_delayed(delayed, &charges);
                let settled = tellings.len() == charges.len() || !admits(&tellings);
                if settled { Ok(Fate::Counted(tellings)) } else { Err((charges, tellings)) }
            }
        }
    }

    /// Answers, or sends the request on and tells its answer of the limits.
    fn proceed(self: &Arc<Self>, fate: Fate, request: Request, next: &Next) -> BoxFuture {
        let tellings = match fate {
            Fate::Counted(tellings) => tellings,
            Fate::Uncounted(_) if self.degradation == Degradation::Pass => return next.run(request),
            Fate::Uncounted(trouble) => return Box::pin(std::future::ready(self.failed(trouble))),
        };
        let logger = request.extensions().get::<Exchange>().filter(|exchange| exchange.wants_rate_limit());
        if let (Some(exchange), Some(told)) = (logger, tellings.last()) {
            exchange.set_rate_limit(self.rate_limit(*told, &request));
        }
        if !admits(&tellings) {
            let mut response = self.answer.rejected();
            self.tell(&tellings, &mut response);
            return Box::pin(std::future::ready(response));
        }
        let answer = next.run(request);
        if !self.tells {
            return answer;
        }
        let me = Arc::clone(self);
        Box::pin(async move {
            let mut response = answer.await;
            me.tell(&tellings, &mut response);
            response
        })
    }

    fn tell(&self, tellings: &Tellings, response: &mut Response) {
        if !self.tells {
            return;
        }
        for told in tellings {
            if let Some(rule) = self.rules.get(told.rule) {
                rule.tell(*told, response.headers_mut());
            }
        }
    }

    fn rate_limit<B>(&self, told: Told, request: &http::Request<B>) -> RateLimit {
        let key = self.rules.get(told.rule).map(|rule| rule.key_text(request)).unwrap_or_default();
        RateLimit { key, limit: told.limit, remaining: told.verdict.remaining, reset: told.verdict.reset }
    }

    fn failed(&self, trouble: Trouble) -> Response {
        match trouble {
            Trouble::Numbers => self.answer.failed(),
            #[cfg(feature = "redis")]
            Trouble::Redis => {
                reject_error_msg(http::StatusCode::INTERNAL_SERVER_ERROR, super::plugin::NAME, "failed to limit count")
            }
        }
    }

    #[cfg(feature = "redis")]
    async fn wait(self: Arc<Self>, charges: Charges, tellings: Tellings, request: Request, next: Next) -> Response {
        let fate = match self.count_in_redis(&charges, tellings).await {
            Ok(tellings) => Fate::Counted(tellings),
            Err(_) if self.degradation == Degradation::Local => Fate::Counted(self.count_here(&charges)),
            Err(_) => Fate::Uncounted(Trouble::Redis),
        };
        self.proceed(fate, request, &next).await
    }
}

/// Whether none of the counters rejected.
fn admits(tellings: &Tellings) -> bool {
    tellings.last().is_none_or(|told| told.verdict.admitted)
}

impl Hop for LimitCount {
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture {
        if !self.action && by_workflow(&request, super::plugin::NAME) {
            return next.run(request);
        }
        match self.decide(&request) {
            Ok(fate) => self.proceed(fate, request, next),
            #[cfg(feature = "redis")]
            Err((charges, tellings)) => Box::pin(Arc::clone(self).wait(charges, tellings, request, next.clone())),
            #[cfg(not(feature = "redis"))]
            Err((charges, _)) => self.proceed(Fate::Counted(self.count_here(&charges)), request, next),
        }
    }
}
