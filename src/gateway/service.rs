//! The way of a request through the gateway.
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TE};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version};
use http_body::Body as HttpBody;
use tower::Service;

use super::Gateway;
use super::arrival::{Arrival, arrive};
use super::body_guard::{Foreign, guard};
use super::facts::{Facts, RouteMatch, SharedFacts};
use super::handle::Inner;
use super::live::Live;
use super::panics::CatchPanic;
use super::rewrite::Given;
use super::route::{Forward, Route};
use super::settings::Rules;
use super::vars::RequestVars;
use super::websocket::judge_handshake;
use crate::body::BoxError;
use crate::error::{Error, IntoResponse, Request, Response, into_problem};
use crate::host::is_host;
use crate::model::EncodedSlash;
use crate::router::{self, Explanation, HostName, NoMatch, PathOptions, Query, Router, canonicalise};
use crate::service::BoxFuture;
use crate::upstream::{Attempt, ForwardContext, Forwarded};
use crate::{Body, BodyError, ConnectInfo, Exchange, Next, UpgradeWish};

/// How often a request may pass the same gateway (security.md HOP-10).
const MOST_PASSES: u32 = 5;

/// The gateway for the requests of one connection: what [`Gateway::connection`] gives.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
    info: ConnectInfo,
}

impl Connection {
    pub(super) fn new(inner: Arc<Inner>, info: ConnectInfo) -> Self {
        Self { inner, info }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.info.peer)
    }
}

/// Future of a [`Gateway`]'s answer.
pub struct ResponseFuture(BoxFuture);

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl<B> Service<http::Request<B>> for Gateway
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        let info = connect_info(request.extensions());
        ResponseFuture(Arc::clone(&self.0).enter(request.map(Body::new), info, Origin::Host))
    }
}

impl<B> Service<http::Request<B>> for Connection
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        let origin =
            if self.info.own_codec && request.version() < Version::HTTP_2 { Origin::Codec } else { Origin::Host };
        ResponseFuture(Arc::clone(&self.inner).enter(request.map(Body::new), Some(self.info), origin))
    }
}

/// Who read the request off the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Our HTTP/1 codec: the head is judged, hop-by-hop fields are off, the connection keeps the clocks.
    Codec,
    /// hyper, in a host's server or under our own HTTP/2: what an `http::Request` still shows is judged here.
    Host,
}

/// Request extension between the outermost layers and the gateway inside them.
#[derive(Clone, Copy)]
struct Entry {
    info: Option<ConnectInfo>,
    origin: Origin,
}

impl Inner {
    fn enter(self: Arc<Self>, mut request: Request, info: Option<ConnectInfo>, origin: Origin) -> BoxFuture {
        match self.outer.get() {
            None => Box::pin(CatchPanic::new(self.serve(request, info, origin))),
            Some(outer) => {
                request.extensions_mut().insert(Entry { info, origin });
                if let Some(info) = info {
                    request.extensions_mut().insert(info);
                }
                Box::pin(CatchPanic::new(outer.run(request)))
            }
        }
    }

    /// The end of the outermost layers. They hold the gateway weakly: it owns them.
    pub(super) fn behind_layers(self: &Arc<Self>) -> Next {
        let gateway = Arc::downgrade(self);
        Next::from_call(move |mut request| match gateway.upgrade() {
            None => Box::pin(std::future::ready(Error::Internal("gateway_gone").into_response())),
            Some(gateway) => {
                let entry = request.extensions_mut().remove::<Entry>();
                let entry = entry.unwrap_or(Entry { info: None, origin: Origin::Host });
                Box::pin(gateway.serve(request, entry.info, entry.origin))
            }
        })
    }

    async fn serve(self: Arc<Self>, mut request: Request, info: Option<ConnectInfo>, origin: Origin) -> Response {
        #[cfg(feature = "hyper-server")]
        let upgrade = match origin {
            Origin::Codec => None,
            Origin::Host => request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>().zip(upgrade_wish(&request)),
        };
        let (found, problem, deadline) = {
            let live = self.live.load();
            let found = self.find_route(&live, &mut request, info, origin);
            (found, live.rules.problem, live.rules.request_timeout)
        };
        let answer = async {
            match found {
                Ok(Found::Direct(route, facts)) => forward(&route.forward, request, &facts, &self.via).await,
                Ok(Found::Chain(chain, shared)) => {
                    if let Some(matched) = shared.0.matched.clone() {
                        request.extensions_mut().insert(matched);
                    }
                    request.extensions_mut().insert(shared);
                    chain.run(request).await
                }
                Err(error) => error.into_response(),
            }
        };
        #[cfg_attr(not(feature = "hyper-server"), expect(unused_mut, reason = "changed for upgrades only"))]
        let mut response = match origin {
            // The connection's own deadline covers it.
            Origin::Codec => answer.await,
            Origin::Host => match tokio::time::timeout(deadline, answer).await {
                Ok(response) => response,
                Err(_) => timed_out().into_response(),
            },
        };
        #[cfg(feature = "hyper-server")]
        if let Some((upgrade, wish)) = upgrade {
            super::upgrade::join(upgrade, &wish, &mut response);
        }
        if problem { into_problem(response) } else { response }
    }

    /// Everything before the chain: judges the request, makes it canonical and finds its route.
    fn find_route(
        &self,
        live: &Live,
        request: &mut Request,
        info: Option<ConnectInfo>,
        origin: Origin,
    ) -> Result<Found, Error> {
        let rules = &*live.rules;
        let (found, Prepared { arrival, target: canonical }) =
            self.with_query(live, request, info, origin, |router, query| {
                router.find(query).map(|matched| {
                    let route = Arc::clone(matched.value);
                    let described = RouteMatch {
                        route: Arc::clone(&route.id),
                        pattern: Arc::clone(matched.pattern),
                        params: matched.params.to_owned(),
                    };
                    (route, described)
                })
            })?;
        let has_encoded_slash = canonical.has_encoded_slash;
        let mut facts = Facts {
            connection: info,
            arrival,
            raw_target: canonical.raw,
            path: canonical.path,
            route: None,
            matched: None,
            given: None,
        };
        match found {
            Ok((route, matched)) => {
                let encoded_slash = route.encoded_slash.unwrap_or(rules.encoded_slash);
                if has_encoded_slash && encoded_slash == EncodedSlash::Reject {
                    return Err(Error::BadRequest("encoded_slash"));
                }
                self.guard_body(request, rules, origin)?;
                let chain = route.chain.wired(|| end(&route.forward, &self.via)).cloned();
                if let Some(exchange) = request.extensions().get::<Exchange>() {
                    exchange.set_route(Arc::clone(&route.id));
                }
                facts.matched = Some(matched);
                match chain {
                    None => Ok(Found::Direct(route, facts)),
                    Some(chain) => {
                        let encoded_slash = match encoded_slash {
                            EncodedSlash::Reject => router::EncodedSlash::Reject,
                            EncodedSlash::Keep => router::EncodedSlash::Keep,
                        };
                        let options = PathOptions { encoded_slash, ..rules.path };
                        facts.given = Some(Given { target: request.uri().path_and_query().cloned(), options });
                        facts.route = Some(route);
                        Ok(Found::Chain(chain, SharedFacts(Arc::new(facts))))
                    }
                }
            }
            Err(no_match) => {
                if has_encoded_slash && rules.encoded_slash == EncodedSlash::Reject {
                    return Err(Error::BadRequest("encoded_slash"));
                }
                let error = match no_match {
                    NoMatch::MethodNotAllowed { allow } => Error::MethodNotAllowed { allow },
                    _ => Error::NoRoute,
                };
                let Some(chain) = live.unrouted.wired(unrouted_end) else { return Err(error) };
                self.guard_body(request, rules, origin)?;
                request.extensions_mut().insert(Unrouted(error));
                Ok(Found::Chain(chain.clone(), SharedFacts(Arc::new(facts))))
            }
        }
    }

    /// Judges a request, makes it canonical and asks the router.
    fn with_query<R>(
        &self,
        live: &Live,
        request: &mut Request,
        info: Option<ConnectInfo>,
        origin: Origin,
        ask: impl FnOnce(&Router<Arc<Route>>, &Query<'_>) -> R,
    ) -> Result<(R, Prepared), Error> {
        let rules = &*live.rules;
        refuse_methods(request.method())?;
        if origin == Origin::Host {
            judge_foreign(request)?;
        }
        let arrival =
            arrive(request.headers_mut(), info.map(|info| info.ip()), &rules.trusted_proxies, &self.via_token);
        if arrival.passes >= MOST_PASSES {
            return Err(Error::LoopDetected);
        }
        adopt_authority(request)?;
        let target = Target::of(request, rules)?;
        let path = target.path.as_deref().unwrap_or(request.uri().path().as_bytes());
        let host = match request.headers().get(HOST) {
            None => None,
            Some(host) => {
                let host = host.to_str().map_err(|_| Error::BadRequest("host"))?;
                Some(HostName::parse(host).map_err(|_| Error::BadRequest("host"))?)
            }
        };
        let vars = RequestVars {
            method: request.method(),
            path,
            uri: request.uri(),
            raw_target: target.raw.as_ref().unwrap_or(request.uri()),
            headers: request.headers(),
            version: request.version(),
            connection: info.as_ref(),
            client: arrival.client,
            original: arrival.original.as_deref(),
            route: None,
            matched: None,
            custom: &self.custom_vars,
        };
        let query = Query {
            method: request.method(),
            host: host.as_ref(),
            path: target.matched.as_deref().unwrap_or(path),
            client: arrival.client,
            vars: &vars,
        };
        let answer = ask(&live.router, &query);
        Ok((answer, Prepared { arrival, target }))
    }

    /// The routing decision in words: the same steps as for a request.
    pub(super) fn explain_route(&self, request: &mut Request, info: Option<ConnectInfo>) -> Result<Explanation, Error> {
        let live = self.live.load_full();
        self.with_query(&live, request, info, Origin::Codec, |router, query| router.explain(query)).map(|found| found.0)
    }

    fn guard_body(&self, request: &mut Request, rules: &Rules, origin: Origin) -> Result<(), Error> {
        if request.body().is_empty() {
            return Ok(());
        }
        let foreign = (origin == Origin::Host)
            .then(|| Foreign { idle: rules.body_timeout, trailers: request.version() >= Version::HTTP_2 });
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = guard(body, rules.body_bytes, foreign).map_err(|error| match error {
            BodyError::TooLarge { .. } => Error::BodyTooLarge,
            _ => Error::BadRequest("body"),
        })?;
        Ok(())
    }
}

/// Where a request goes.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and lives in the request's own future")]
enum Found {
    /// No layer stands before the upstream.
    Direct(Arc<Route>, Facts),
    /// Through layers.
    Chain(Next, SharedFacts),
}

/// Request extension: why no route was found, for the end of the global rules' chain.
#[derive(Clone)]
struct Unrouted(Error);

fn unrouted_end() -> Next {
    Next::from_fn(|mut request| {
        let error = request.extensions_mut().remove::<Unrouted>().map_or(Error::NoRoute, |unrouted| unrouted.0);
        std::future::ready(error.into_response())
    })
}

/// The end of a route's chain.
fn end(target: &Arc<Forward>, via: &Arc<str>) -> Next {
    let (target, via) = (Arc::clone(target), Arc::clone(via));
    Next::from_fn(move |mut request: Request| {
        let (target, via) = (Arc::clone(&target), Arc::clone(&via));
        async move {
            let Some(shared) = request.extensions().get::<SharedFacts>().cloned() else {
                return Error::Internal("facts_missing").into_response();
            };
            if let Some(given) = &shared.0.given
                && let Err(error) = given.settle(&mut request)
            {
                return error.into_response();
            }
            forward(&target, request, &shared.0, &via).await
        }
    })
}

/// Sends a request to its upstream; a failure becomes an answer here and nowhere else.
async fn forward(target: &Forward, mut request: Request, facts: &Facts, via: &str) -> Response {
    let upstream = match &target.target {
        Ok(upstream) => upstream,
        Err(error) => return error.clone().into_response(),
    };
    if upstream.calls_services()
        && let Some(matched) = &facts.matched
    {
        request.extensions_mut().get_or_insert_with(|| matched.clone());
    }
    // Other protocols are not passed on: the request goes on as plain HTTP (security.md UPG-01).
    let wish = request.extensions_mut().remove::<UpgradeWish>().filter(|wish| target.websocket && wish.is_websocket());
    if wish.is_some()
        && let Err(error) = judge_handshake(&request)
    {
        return error.into_response();
    }
    let trailers = request.headers_mut().remove(TE).is_some();
    let host = request.headers().get(HOST).cloned();
    let reported = facts.arrival.reported.as_deref();
    let port = facts.connection.and_then(|connection| connection.local).map(|local| Digits::of(local.port()));
    let forwarded = facts.connection.as_ref().map(|connection| {
        let proto: &[u8] = if connection.tls { b"https" } else { b"http" };
        Forwarded {
            client: facts.arrival.client.unwrap_or_else(|| connection.ip()),
            peer: connection.ip(),
            prior: reported.and_then(|reported| reported.forwarded_for.as_ref()),
            proto: reported.and_then(|reported| reported.proto.as_ref()).map_or(proto, HeaderValue::as_bytes),
            host: reported
                .and_then(|reported| reported.host.as_ref())
                .or(host.as_ref())
                .map_or(&[], HeaderValue::as_bytes),
            port: reported
                .and_then(|reported| reported.port.as_ref())
                .map_or_else(|| port.as_ref().map(Digits::as_bytes).unwrap_or_default(), HeaderValue::as_bytes),
        }
    });
    // Attempts are written down only for a layer that asked.
    let exchange = request.extensions().get::<Exchange>().cloned();
    let mut attempts = exchange.as_ref().map(|_| Vec::new());
    let context = ForwardContext {
        client: facts.arrival.client,
        forwarded,
        via: Some(via),
        upgrade: wish.as_ref().map(|wish| &wish.0),
        trailers,
        timeouts: target.timeouts,
        attempts: attempts.as_mut(),
        ..ForwardContext::default()
    };
    let answer = upstream.send(request, context).await;
    if let (Some(exchange), Some(attempts)) = (exchange, attempts) {
        exchange.set_upstream(addresses(&attempts));
    }
    match answer {
        Ok(response) => response,
        Err(error) => {
            #[cfg(feature = "tracing")]
            tracing::warn!(
                route = facts.route_id(),
                reason = error.reason(),
                error = &error as &dyn std::error::Error,
                "upstream failed"
            );
            Error::from(error).into_response()
        }
    }
}

/// The endpoints that were tried, as [`Exchange::upstream`] has them.
fn addresses(attempts: &[Attempt]) -> String {
    let address = |attempt: &Attempt| match attempt.address {
        Some(address) => address.to_string(),
        None => attempt.endpoint.to_string(),
    };
    attempts.iter().map(address).collect::<Vec<_>>().join(", ")
}

/// A port in decimal, without an allocation.
struct Digits([u8; 5], usize);

impl Digits {
    fn of(port: u16) -> Self {
        let mut digits = [0; 5];
        let mut rest = port;
        let mut from = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            from -= 1;
            if rest == 0 {
                break;
            }
        }
        Self(digits, from)
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.get(self.1..).unwrap_or_default()
    }
}

fn timed_out() -> Error {
    Error::Upstream { status: StatusCode::GATEWAY_TIMEOUT, reason: "request_deadline", retry_after: None }
}

/// Methods that are never routed (security.md H1-22).
fn refuse_methods(method: &Method) -> Result<(), Error> {
    match *method {
        Method::TRACE | Method::CONNECT => Err(Error::MethodRefused(StatusCode::METHOD_NOT_ALLOWED)),
        _ if method.as_str() == "PRI" => Err(Error::MethodRefused(StatusCode::NOT_IMPLEMENTED)),
        _ if method.as_str().len() > 32 => Err(Error::BadRequest("method")),
        _ => Ok(()),
    }
}

/// What our codec would have refused and an `http::Request` still shows (security.md §1.5); hop-by-hop fields come off.
fn judge_foreign(request: &mut Request) -> Result<(), Error> {
    let version = request.version();
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next().is_some());
    if more {
        return Err(Error::BadRequest("host_repeated"));
    }
    match (host, request.uri().authority()) {
        (None, None) if version >= Version::HTTP_11 => return Err(Error::BadRequest("host_missing")),
        (Some(host), _) if !is_host(host.as_bytes()) => return Err(Error::BadRequest("host")),
        (Some(host), Some(authority))
            if version >= Version::HTTP_2 && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            return Err(Error::BadRequest("host_differs"));
        }
        _ => {}
    }
    if let Some(expect) = headers.get(EXPECT) {
        if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") || headers.get_all(EXPECT).iter().count() > 1 {
            return Err(Error::ExpectationFailed);
        }
        request.headers_mut().remove(EXPECT);
    }
    judge_target(request)?;
    let wish = upgrade_wish(request);
    crate::hop::strip_hop_by_hop(request.headers_mut());
    if request.body().is_empty() && version < Version::HTTP_2 {
        // A length of zero says nothing that the body does not say.
        request.headers_mut().remove(CONTENT_LENGTH);
    }
    if let Some(wish) = wish {
        request.extensions_mut().insert(wish);
    }
    Ok(())
}

/// The target's form (security.md H1-12, H1-13); `CONNECT` is refused before.
fn judge_target(request: &Request) -> Result<(), Error> {
    let uri = request.uri();
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(host)) if is_host(host.as_str().as_bytes()) => Ok(()),
        (Some(_), _) => Err(Error::BadRequest("target_uri")),
        (None, Some(_)) => Err(Error::BadRequest("target_form")),
        (None, None) if uri.path() == "*" && *request.method() != Method::OPTIONS => {
            Err(Error::BadRequest("target_form"))
        }
        (None, None) => Ok(()),
    }
}

/// The wish to upgrade of an HTTP/1.1 request without a body (security.md UPG-03).
fn upgrade_wish(request: &Request) -> Option<UpgradeWish> {
    if request.version() != Version::HTTP_11 || !request.body().is_empty() {
        return None;
    }
    let asks = request.headers().get_all(http::header::CONNECTION).iter().any(|line| {
        line.as_bytes().split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let token = request.headers().get(http::header::UPGRADE)?;
    asks.then(|| UpgradeWish(token.clone()))
}

/// Makes `Host` the one place of the authority: that of an absolute target or of `:authority` replaces it (H1-12).
fn adopt_authority(request: &mut Request) -> Result<(), Error> {
    if let Some(authority) = request.uri().authority() {
        if authority.as_str().contains('@') {
            return Err(Error::BadRequest("target_userinfo"));
        }
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| Error::BadRequest("host"))?;
        request.headers_mut().insert(HOST, value);
    }
    Ok(())
}

/// What was found out before the router was asked.
struct Prepared {
    arrival: Arrival,
    target: Target,
}

/// The target made canonical.
struct Target {
    /// As sent, where it changed.
    raw: Option<Uri>,
    /// What plugins see as `uri`, where it differs from what is forwarded.
    path: Option<Box<[u8]>>,
    /// What patterns are compared with, where it differs from that.
    matched: Option<Box<[u8]>>,
    has_encoded_slash: bool,
}

impl Target {
    /// Makes the request's URI canonical: origin-form, as it is forwarded.
    fn of(request: &mut Request, rules: &Rules) -> Result<Self, Error> {
        let uri = request.uri();
        let sent = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if sent == "*" {
            return Ok(Self { raw: None, path: None, matched: None, has_encoded_slash: false });
        }
        // An absolute target may have a query behind an empty path, which means the root (RFC 9110 §4.2.3).
        let rooted = sent.starts_with('?').then(|| format!("/{sent}"));
        let sent = rooted.as_deref().unwrap_or(sent);
        let canonical = canonicalise(sent, &rules.path).map_err(|_| Error::BadRequest("path"))?;
        let differs = |bytes: &[u8], from: &[u8]| (bytes != from).then(|| bytes.into());
        let path = differs(canonical.uri(), canonical.forward().as_bytes());
        let matched = differs(canonical.matched(), canonical.uri());
        let has_encoded_slash = canonical.has_encoded_slash();
        let origin_form = uri.scheme().is_none() && uri.authority().is_none();
        if canonical.is_as_sent() && origin_form {
            return Ok(Self { raw: None, path, matched, has_encoded_slash });
        }
        let mut target = canonical.forward().to_owned();
        if let Some(query) = canonical.query() {
            target.push('?');
            target.push_str(query);
        }
        let target = PathAndQuery::try_from(target).map_err(|_| Error::BadRequest("path"))?;
        let raw = std::mem::replace(request.uri_mut(), Uri::from(target));
        Ok(Self { raw: Some(raw), path, matched, has_encoded_slash })
    }
}

/// The facts of a connection that a host's server left in the extensions.
fn connect_info(extensions: &http::Extensions) -> Option<ConnectInfo> {
    if let Some(info) = extensions.get::<ConnectInfo>() {
        return Some(*info);
    }
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(peer)) = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()
    {
        return Some(ConnectInfo::new(*peer));
    }
    None
}
