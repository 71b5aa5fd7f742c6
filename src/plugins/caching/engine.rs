//! The way of a request through the cache.
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use tokio::sync::watch;

use super::CacheControl;
use super::conditional::{Wanted, is_for_the_origin};
use super::policy::Policy;
use crate::cache::stats::count;
use crate::cache::{CacheKey, Flight, Found, Joined, Landing, Predecessor, Stored, Zone};
use crate::{Exchange, Next, Request, Response, UpgradeWish};

/// A zone and what is kept in it.
#[derive(Debug)]
pub(in super::super) struct Engine {
    pub(in super::super) zone: Arc<Zone>,
    pub(in super::super) policy: Policy,
    /// Nothing is ever said here; it ends with its [`Life`].
    life: watch::Receiver<()>,
}

/// What an engine does in the background ends when this is dropped.
#[derive(Debug)]
pub(in super::super) struct Life(#[expect(dead_code, reason = "it is there to be dropped")] watch::Sender<()>);

/// What a request asks of the cache.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Query {
    pub(in super::super) key: CacheKey,
    /// It brought credentials, or is a known caller's, and the key does not say whose.
    pub(in super::super) authorized: bool,
    /// What is kept may answer it.
    pub(in super::super) reads: bool,
    /// Its answer may be kept.
    pub(in super::super) stores: bool,
    /// What it says itself, as far as that is heeded.
    pub(in super::super) control: CacheControl,
}

impl Query {
    /// What those who may wait for one another have in common: the answers to callers with credentials are theirs as
    /// a rule, so the others do not wait for them, nor learn from them that nothing is kept.
    pub(super) fn together(&self) -> CacheKey {
        self.flight(self.key)
    }

    /// As [`Query::together`], of one of several answers.
    fn flight(&self, missing: CacheKey) -> CacheKey {
        if self.authorized { missing.of_variant(u64::MAX) } else { missing }
    }
}

/// How a kept answer stands to a request.
enum Use {
    Fresh,
    /// It is over, and the request takes it all the same.
    Stale,
    /// It is used, and fetched anew meanwhile.
    Updating,
    /// It is used for the last time if no new one can be had. The status tells the client that it was there.
    Over(&'static str),
}

/// Request extension: the zones in which a fetch is under way for this request already. A cache further in of the same zone does
/// not wait for it, which would be waiting for itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Leads(Vec<Weak<Zone>>);

impl Leads {
    pub(super) fn note(request: &mut Request, zone: &Arc<Zone>) {
        request.extensions_mut().get_or_insert_default::<Self>().0.push(Arc::downgrade(zone));
    }

    fn has(request: &Request, zone: &Arc<Zone>) -> bool {
        let leads = request.extensions().get::<Self>();
        leads.is_some_and(|leads| leads.0.iter().any(|other| other.as_ptr() == Arc::as_ptr(zone)))
    }
}

/// After so many waits for others' answers a request goes itself.
const WAITS: u32 = 4;
/// An update in the background that takes longer is begun again.
const UPDATE: Duration = Duration::from_secs(5);

/// Whether a request is one that no cache has anything to do with.
pub(in super::super) fn is_beside(request: &Request) -> bool {
    is_for_the_origin(request.method(), request.headers()) || request.extensions().get::<UpgradeWish>().is_some()
}

impl Engine {
    /// An engine, with what its work in the background lives by.
    pub(in super::super) fn new(zone: Arc<Zone>, policy: Policy) -> (Arc<Self>, Life) {
        let (sender, life) = watch::channel(());
        (Arc::new(Self { zone, policy, life }), Life(sender))
    }

    /// Answers a request: from the zone, or by the upstream.
    pub(in super::super) async fn serve(self: &Arc<Self>, query: Query, request: Request, next: Next) -> Response {
        let wanted = Wanted::of(request.headers());
        let head = request.method() == Method::HEAD;
        if !query.reads {
            let asked = Fetch { query, wanted, stale: None, flight: None, status: "BYPASS" };
            return self.fetch(asked, request, &next).await;
        }
        let (mut stale, mut status) = (None, "MISS");
        for _ in 0..WAITS {
            let missing = match self.zone.find(query.key, request.headers()).await {
                Found::Missing(_) if self.zone.refuses(query.together()) => break,
                Found::Missing(missing) => missing,
                // Somebody who showed credentials is not given what was said to those without.
                Found::Stored(stored) if query.authorized && !stored.meta.shared => break,
                Found::Stored(stored) => {
                    let now = self.zone.now();
                    let variant = query.key.of_variant(stored.meta.variant);
                    match usable(&stored, &query.control, now) {
                        Use::Fresh => return self.hit(&stored, &wanted, head, "HIT"),
                        Use::Stale => return self.hit(&stored, &wanted, head, "STALE"),
                        // What would not be kept is not fetched for nothing.
                        Use::Updating if !query.stores => return self.hit(&stored, &wanted, head, "STALE"),
                        Use::Updating => {
                            self.update(query, &request, &next, &stored, variant);
                            return self.hit(&stored, &wanted, head, "UPDATING");
                        }
                        Use::Over(told) => (stale, status) = (Some(stored), told),
                    }
                    variant
                }
            };
            if query.control.only_if_cached {
                break;
            }
            if let Some(stored) = stale.as_ref().filter(|stored| self.may_stand_in(stored))
                && self.zone.failed(query.together())
            {
                return self.hit(stored, &wanted, head, "STALE");
            }
            // What they bring is not kept, so nobody is to wait for them.
            let alone = head || !query.stores || wanted.is_part() && stale.is_none();
            if alone || self.policy.collapse.is_zero() || Leads::has(&request, &self.zone) {
                break;
            }
            match self.zone.join(query.flight(missing), self.policy.collapse) {
                Joined::Leads(flight) => {
                    let asked = Fetch { query, wanted, stale, flight: Some(flight), status };
                    return self.fetch(asked, request, &next).await;
                }
                Joined::Follows(mut hears, others) => {
                    let landed = hears.wait_for(|landing| *landing != Landing::Underway);
                    match tokio::time::timeout(self.policy.collapse, landed).await.map(|landed| landed.map(|l| *l)) {
                        Ok(Ok(Landing::NotKept)) => break,
                        Ok(Ok(_) | Err(_)) => {}
                        Err(_) => {
                            // One may wait for a client that reads slowly. When the next takes as long, the answers
                            // take long or never end: others need not find that out.
                            if others == Predecessor::Late {
                                self.zone.refuse(query.together());
                            }
                            break;
                        }
                    }
                }
            }
        }
        if query.control.only_if_cached {
            count(&self.zone.counters().misses);
            return self.policy.nothing_kept();
        }
        self.fetch(Fetch { query, wanted, stale, flight: None, status }, request, &next).await
    }

    /// Sends a request on that the cache has nothing to do with. One that changes what is there takes what was kept of its `url`
    /// out (RFC 9111 §4.4).
    pub(in super::super) async fn pass(
        &self,
        url: Option<CacheKey>,
        request: Request,
        next: &Next,
        status: &'static str,
    ) -> Response {
        let response = next.run(request).await;
        let succeeded = response.status().is_success() || response.status().is_redirection();
        if let Some(url) = url.filter(|_| succeeded) {
            self.zone.take_out(url);
        }
        self.policy.mark(response, status)
    }

    pub(super) fn hit(&self, stored: &Stored, wanted: &Wanted, head: bool, status: &'static str) -> Response {
        count(&self.zone.counters().hits);
        self.policy.answer(stored, stored.headers(), wanted, head, self.zone.now(), status)
    }

    /// Fetches an answer anew in the background, unless somebody does.
    fn update(self: &Arc<Self>, query: Query, request: &Request, next: &Next, stored: &Stored, variant: CacheKey) {
        let joined = self.zone.join(query.flight(variant), self.policy.collapse.max(UPDATE));
        let Joined::Leads(flight) = joined else { return };
        let (engine, next, request) = (Arc::clone(self), next.clone(), copy(request));
        let wanted = Wanted::default();
        let asked = Fetch { query, wanted, stale: Some(stored.clone()), flight: Some(flight), status: "EXPIRED" };
        let mut life = self.life.clone();
        let updating = async move {
            let fetching = async {
                let mut body = engine.fetch(asked, request, &next).await.into_body();
                while let Some(Ok(_)) = body.frame().await {}
            };
            tokio::select! {
                () = fetching => {}
                _ = life.changed() => {}
            }
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(updating);
        }
    }
}

/// What is fetched, and for whom.
pub(super) struct Fetch {
    pub(super) query: Query,
    pub(super) wanted: Wanted,
    /// What is kept and over.
    pub(super) stale: Option<Stored>,
    /// Those who wait.
    pub(super) flight: Option<Flight>,
    /// What the client is told when the upstream answers.
    pub(super) status: &'static str,
}

/// The same request once more, for the gateway's own purposes, without what belongs to the client's exchange. The body of one
/// that is kept is at hand.
fn copy(request: &Request) -> Request {
    let body = request.body().as_bytes().unwrap_or_default();
    let mut copy = Request::new(bytes::Bytes::copy_from_slice(body).into());
    *copy.method_mut() = if request.method() == Method::POST { Method::POST } else { Method::GET };
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = HeaderMap::clone(request.headers());
    *copy.extensions_mut() = request.extensions().clone();
    copy.extensions_mut().remove::<Exchange>();
    copy
}

/// Whether a kept answer may be used (RFC 9111 §4.2, §4.2.4, §5.2.1).
fn usable(stored: &Stored, control: &CacheControl, now: u64) -> Use {
    let (meta, age) = (&stored.meta, stored.meta.age(now));
    if control.max_age.is_some_and(|most| age > u64::from(most)) {
        return Use::Over("STALE");
    }
    match meta.stale_for(now) {
        None => {
            let left = u64::from(meta.fresh_for).saturating_sub(meta.resident(now));
            let enough = control.min_fresh.is_none_or(|least| left >= u64::from(least));
            if enough { Use::Fresh } else { Use::Over("STALE") }
        }
        // It wants something fresh, and no less.
        Some(_) if control.min_fresh.is_some() => Use::Over("STALE"),
        Some(stale) if stale < u64::from(meta.while_revalidate) => Use::Updating,
        Some(stale) if !meta.strict && control.max_stale.is_some_and(|most| stale <= u64::from(most)) => Use::Stale,
        Some(_) => Use::Over("EXPIRED"),
    }
}
