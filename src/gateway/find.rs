//! From a request to its route: the request is judged and made canonical, the router is asked, and what comes next is
//! what the request goes through.
use std::net::IpAddr;
use std::sync::Arc;

use http::Version;
use http::header::HOST;
use http::uri::PathAndQuery;

use super::body_guard::{Foreign, guard, guard_within};
#[cfg(feature = "tls")]
use super::client_certificate;
use super::forward::{end, unrouted, unrouted_end};
use super::handle::Inner;
use super::judge::{adopt_authority, judge_foreign, refuse_methods};
use super::live::Live;
use super::route::Route;
use super::service::Origin;
use super::target::Target;
use crate::body::Sender;
use crate::error::{Error, Request};
use crate::request::{
    Arrival, Arriving, BodyLimit, Facts, Given, Known, RequestVars, RouteMatch, SharedFacts, arrive, take_off,
};
use crate::router::{Explanation, HostName, NoMatch, PathOptions, Query, Router};
use crate::{Body, BodyError, ConnectInfo, Exchange, Next};

/// How often a request may pass the same gateway (security.md HOP-10).
const MOST_PASSES: u32 = 5;

/// Where a request goes.
pub(super) enum Found {
    /// No layer stands before the upstream.
    Direct(Arc<Route>, Arrival),
    /// Through layers.
    Chain(Next),
}

/// What was found out before the router was asked.
struct Prepared {
    arrival: Arrival,
    target: Target,
}

impl Inner {
    /// Everything before the chain. What layers and services of this process are told of the request is put into its
    /// extensions. What is refused here is still seen by the global rules that only watch: what they hide from logs
    /// stays hidden.
    pub(super) fn find_route(
        &self,
        live: &Live,
        request: &mut Request,
        info: Option<&ConnectInfo>,
        origin: Origin,
    ) -> Result<Found, Error> {
        self.judged(live, request, info, origin).or_else(|error| {
            let Some(chain) = live.watching.wired(unrouted_end) else { return Err(error) };
            *request.body_mut() = Body::empty();
            unrouted(request, error);
            Ok(Found::Chain(chain.clone()))
        })
    }

    fn judged(
        &self,
        live: &Live,
        request: &mut Request,
        info: Option<&ConnectInfo>,
        origin: Origin,
    ) -> Result<Found, Error> {
        let rules = &*live.rules;
        let ask = |router: &Router<Arc<Route>>, query: &Query<'_>, target: Option<&PathAndQuery>| {
            router.find(query).map(|matched| {
                let route = Arc::clone(matched.value);
                let described = route.describes.then(|| RouteMatch {
                    route: Arc::clone(&route.info.id),
                    pattern: Arc::clone(matched.pattern),
                    host: matched.host_pattern.cloned(),
                    params: matched.params.to_owned_of(target),
                });
                (route, described)
            })
        };
        let (found, Prepared { arrival, target }) = self.with_query(live, request, info, origin, ask)?;
        let (route, matched) = match found {
            Ok(found) => found,
            Err(no_match) => {
                target.judge_slash(None, rules)?;
                let error = match no_match {
                    NoMatch::MethodNotAllowed { allow } => Error::MethodNotAllowed { allow },
                    _ => Error::NoRoute,
                };
                let Some(chain) = live.unrouted.wired(unrouted_end) else { return Err(error) };
                guard_body(request, live, origin, arrival.client, live.unrouted.sets_body_limit())?;
                unrouted(request, error);
                let facts = facts(live, info, arrival, target);
                request.extensions_mut().insert(SharedFacts(Arc::new(facts)));
                return Ok(Found::Chain(chain.clone()));
            }
        };
        let encoded_slash = target.judge_slash(route.encoded_slash, rules)?;
        guard_body(request, live, origin, arrival.client, route.chain.sets_body_limit())?;
        if let Some(exchange) = request.extensions().get::<Exchange>() {
            exchange.set_route(Arc::clone(&route.info.id));
        }
        let told = route.forward.asks_for_facts();
        let Some(chain) = route.chain.wired_if(told, || end(&route.forward, &self.via)).cloned() else {
            if let Some(matched) = matched {
                request.extensions_mut().insert(matched);
            }
            return Ok(Found::Direct(route, arrival));
        };
        let options = PathOptions { encoded_slash, ..rules.path };
        let facts = Facts {
            route: Some(Arc::clone(&route.info)),
            matched,
            given: Some(Given { target: request.uri().path_and_query().cloned(), options }),
            ..facts(live, info, arrival, target)
        };
        request.extensions_mut().insert(SharedFacts(Arc::new(facts)));
        Ok(Found::Chain(chain))
    }

    /// Judges a request, makes it canonical and asks the router.
    fn with_query<R>(
        &self,
        live: &Live,
        request: &mut Request,
        info: Option<&ConnectInfo>,
        origin: Origin,
        ask: impl FnOnce(&Router<Arc<Route>>, &Query<'_>, Option<&PathAndQuery>) -> R,
    ) -> Result<(R, Prepared), Error> {
        let rules = &*live.rules;
        refuse_methods(request.method())?;
        if origin == Origin::Host {
            judge_foreign(request)?;
        }
        let mut arrival =
            arrive(request.headers_mut(), info.map(ConnectInfo::ip), &rules.trusted_proxies, &self.via_token);
        if !live.identity_fields.is_empty() {
            take_off(request.headers_mut(), &live.identity_fields);
        }
        // Behind trusted proxies the client is not the peer, and logs are to know.
        if let Some(client) = arrival.client.filter(|client| info.is_some_and(|info| info.ip() != *client))
            && let Some(exchange) = request.extensions().get::<Exchange>()
        {
            exchange.set_client(client);
        }
        if arrival.passes >= MOST_PASSES {
            return Err(Error::LoopDetected);
        }
        adopt_authority(request)?;
        let target = Target::of(request, rules)?;
        let path = target.path.as_deref().unwrap_or(request.uri().path().as_bytes());
        arrival.host = request.headers().get(HOST).cloned();
        let host = match &arrival.host {
            None => None,
            Some(host) => {
                let host = host.to_str().map_err(|_| Error::BadRequest("host"))?;
                Some(HostName::parse(host).map_err(|_| Error::BadRequest("host"))?)
            }
        };
        #[cfg(feature = "tls")]
        if let Some(handshake) = info.and_then(ConnectInfo::handshake) {
            let (host, matched) = (host.as_ref().map(HostName::name), target.matched.as_deref().unwrap_or(path));
            client_certificate::judge(&live.certificates, handshake, host, [path, matched])?;
        }
        let vars = RequestVars {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            version: request.version(),
            known: Known::Arriving(Arriving {
                path,
                raw_target: target.raw.as_ref().unwrap_or(request.uri()),
                connection: info,
                client: arrival.client,
                original: arrival.original.as_deref(),
                custom: &live.environment.custom_vars,
            }),
        };
        let query = Query {
            method: request.method(),
            host: host.as_ref(),
            path: target.matched.as_deref().unwrap_or(path),
            client: arrival.client,
            vars: &vars,
        };
        let answer = ask(&live.router, &query, request.uri().path_and_query());
        Ok((answer, Prepared { arrival, target }))
    }

    /// The routing decision in words: the same steps as for a request.
    pub(super) fn explain_route(
        &self,
        request: &mut Request,
        info: Option<&ConnectInfo>,
    ) -> Result<Explanation, Error> {
        let live = self.live.load_full();
        let ((of_route, explanation), prepared) =
            self.with_query(&live, request, info, Origin::Codec, |router, query, _| {
                let of_route = router.find(query).ok().and_then(|matched| matched.value.encoded_slash);
                (of_route, router.explain(query))
            })?;
        prepared.target.judge_slash(of_route, &live.rules)?;
        Ok(explanation)
    }
}

/// What is known of a request before its route.
fn facts(live: &Live, connection: Option<&ConnectInfo>, arrival: Arrival, target: Target) -> Facts {
    Facts {
        connection: connection.cloned(),
        arrival,
        raw_target: target.raw,
        path: target.path,
        route: None,
        matched: None,
        given: None,
        environment: Arc::clone(&live.environment),
    }
}

/// `is_set`: some layer may set another limit.
fn guard_body(
    request: &mut Request,
    live: &Live,
    origin: Origin,
    client: Option<IpAddr>,
    is_set: bool,
) -> Result<(), Error> {
    if request.body().is_empty() {
        return Ok(());
    }
    let rules = &*live.rules;
    let foreign = (origin != Origin::Codec).then(|| Foreign {
        idle: (origin == Origin::Host).then_some(rules.body_timeout),
        trailers: (request.version() >= Version::HTTP_2).then(|| Arc::clone(&live.identity_fields)),
    });
    let body = std::mem::take(request.body_mut());
    let sender = client.map(Sender::of);
    if is_set {
        let limit = BodyLimit::new(rules.body_bytes);
        *request.body_mut() = guard_within(body, limit.clone(), foreign).sent_by(sender);
        request.extensions_mut().insert(limit);
        return Ok(());
    }
    let guarded = guard(body, rules.body_bytes, foreign).map_err(|error| match error {
        BodyError::TooLarge { .. } => Error::BodyTooLarge,
        _ => Error::BadRequest("body"),
    })?;
    *request.body_mut() = guarded.sent_by(sender);
    Ok(())
}
