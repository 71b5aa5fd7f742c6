//! The code around the chain.
use std::sync::Arc;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};

use super::config::ApiBreakerConfig;
use super::plugin::{ApiBreakerPlugin, Breakers, NAME};
use super::state::{Admission, Breaker, Health, Pass, Policy};
use crate::plugin::{Around, AroundLayer, ChoiceStands, ConfigError, StandIn, UpstreamChoice};
use crate::plugins::edit::FieldTemplate;
use crate::plugins::limit::{Key, Namespace};
use crate::request::{RequestVars, Template};
use crate::{Body, Fault, Next, Request, Response, answer_of, reject_empty};

/// A block of `api-breaker`, compiled.
pub struct ApiBreaker {
    pub(super) policy: Policy,
    pub(super) key: Template,
    pub(super) namespace: Namespace,
    pub(super) unhealthy: Box<[u16]>,
    pub(super) healthy: Box<[u16]>,
    /// Whether an upstream that does not answer is unhealthy.
    pub(super) no_answer: bool,
    pub(super) answer: Broken,
    pub(super) fallback: Option<UpstreamChoice>,
    /// Breakers that there may be in this process.
    pub(super) bound: usize,
    pub(super) breakers: Arc<Breakers>,
}

/// What is answered while a breaker is open.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) status: StatusCode,
    pub(super) content: Option<(Bytes, Vec<(HeaderName, FieldTemplate)>)>,
}

/// [`ApiBreaker`] around a service.
pub type ApiBreakerLayer = AroundLayer<ApiBreaker>;

impl ApiBreakerLayer {
    /// A layer with breakers of its own. A fallback upstream is a gateway's to find, so it must not be set.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: ApiBreakerConfig) -> Result<Self, ConfigError> {
        ApiBreakerPlugin::default().layer(config)
    }
}

impl ApiBreaker {
    fn key<B>(&self, request: &http::Request<B>) -> Key {
        self.namespace.key(&self.key.render(&RequestVars::of(request)).text)
    }

    /// Changes a breaker that is there already.
    fn change<R>(&self, key: Key, change: impl FnOnce(&mut Breaker, u64) -> R) -> Option<R> {
        let now = self.breakers.clock.now();
        self.breakers.store.visit(key, now, |breaker| change(breaker, now))
    }

    /// Takes note of an answer, if it tells anything.
    fn count(&self, key: Key, response: &Response, pass: Pass) {
        let Some(health) = self.judge(response) else { return };
        // Of a healthy upstream nothing need be remembered, unless shares are asked for.
        if health == Health::Healthy && self.policy.volume.is_none() {
            self.change(key, |breaker, now| breaker.count(health, pass, now, &self.policy));
            return;
        }
        let now = self.breakers.clock.now();
        self.breakers.store.update(self.bound, key, now, |breaker| breaker.count(health, pass, now, &self.policy));
    }

    pub(super) fn judge(&self, response: &Response) -> Option<Health> {
        let status = response.status().as_u16();
        match response.extensions().get::<Fault>() {
            None if self.unhealthy.contains(&status) => Some(Health::Unhealthy),
            None if self.healthy.contains(&status) => Some(Health::Healthy),
            None => None,
            Some(fault) => {
                let of_upstream = fault.source() == "gateway" && matches!(status, 502 | 504);
                (self.no_answer && of_upstream).then_some(Health::Unhealthy)
            }
        }
    }

    /// The answer while a breaker is open for so many milliseconds.
    fn broken(&self, request: &Request, rest: u64) -> Response {
        let mut response = match &self.answer.content {
            None => reject_empty(self.answer.status, NAME),
            Some((body, fields)) => {
                let mut response = Response::new(Body::from(body.clone()));
                *response.status_mut() = self.answer.status;
                for (name, value) in fields {
                    response.headers_mut().append(name, value.render(&RequestVars::of(request)));
                }
                answer_of(NAME, response)
            }
        };
        if matches!(self.answer.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            let seconds = HeaderValue::from(rest.div_ceil(1000));
            response.headers_mut().entry(RETRY_AFTER).or_insert(seconds);
        }
        response
    }
}

impl Around for ApiBreaker {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        let key = self.key(&request);
        let admission = self.change(key, |breaker, now| breaker.admit(now, &self.policy));
        let pass = match admission {
            None => Pass::default(),
            Some(Admission::Pass(pass)) => pass,
            Some(Admission::Open(rest)) => {
                let Some(fallback) = &self.fallback else { return self.broken(&request, rest) };
                request.extensions_mut().insert(fallback.clone());
                request.extensions_mut().insert(ChoiceStands);
                let mut response = next.run(request).await;
                response.extensions_mut().insert(StandIn);
                return response;
            }
        };
        let probe = pass.round.map(|round| Probe { breaker: &self, key, round });
        let response = next.run(request).await;
        self.count(key, &response, pass);
        drop(probe);
        response
    }
}

/// A probe under way: also one whose client goes away comes to its end.
struct Probe<'a> {
    breaker: &'a ApiBreaker,
    key: Key,
    round: u32,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.breaker.change(self.key, |breaker, _| breaker.end_probe(self.round));
    }
}
