//! The code around the chain.
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use http_body::Body as _;

use super::config::{CacheMethod, CacheStrategy, ProxyCacheConfig};
use super::key::{Keys, any_holds, conditions};
use super::plugin::ProxyCachePlugin;
use crate::cache::Zone;
use crate::plugin::bodies::Bodies;
use crate::plugin::{Around, AroundLayer, ConfigError, Plugin as _};
use crate::plugins::caching::{CacheControl, Engine, Life, Lifetime, Policy, Query, Unkeyed, is_beside};
use crate::plugins::checks::{non_empty, own_field};
use crate::plugins::networks::Networks;
use crate::request::{RequestVars, Template, client_addr, is_behind_a_stranger};
use crate::{Body, Next, Request, Response, reject, reject_empty};

const NAME: &str = ProxyCachePlugin::NAME;
/// The longest body of a POST that is part of a key.
const KEYED_BODY: usize = 64 * 1024;

/// Keeps answers.
#[derive(Debug)]
pub struct ProxyCache {
    engine: Arc<Engine>,
    _life: Life,
    keys: Keys,
    methods: Vec<Method>,
    bypass: Vec<Template>,
    no_cache: Vec<Template>,
    /// `Cache-Control` of requests counts.
    heeds_requests: bool,
    purge_from: Networks,
    bodies: Bodies,
}

/// Puts [`ProxyCache`] around a service.
pub type ProxyCacheLayer = AroundLayer<ProxyCache>;

impl ProxyCache {
    /// Compiles a block over a zone, whatever name the block has for it.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: ProxyCacheConfig, zone: Arc<Zone>) -> Result<Self, ConfigError> {
        let invalid = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        let is_on_disk = config.cache_strategy == CacheStrategy::Disk;
        if is_on_disk != zone.is_on_disk() {
            let reason = format!("invalid or empty cache_zone for cache_strategy: {}", config.cache_strategy.as_str());
            return Err(invalid("cache_zone", &reason));
        }
        non_empty(NAME, "cache_method", &config.cache_method)?;
        non_empty(NAME, "cache_http_status", &config.cache_http_status)?;
        let mut statuses = config.cache_http_status;
        statuses.sort_unstable();
        if statuses.iter().any(|status| !(200..=599).contains(status)) {
            return Err(invalid("cache_http_status", "has a status that is none from 200 to 599"));
        }
        if statuses.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(invalid("cache_http_status", "has a status twice"));
        }
        let methods: Vec<_> = config.cache_method.iter().copied().map(CacheMethod::method).collect();
        if methods.iter().enumerate().any(|(index, method)| methods.iter().skip(index + 1).any(|other| other == method))
        {
            return Err(invalid("cache_method", "has a method twice"));
        }
        if config.cache_ttl == Some(0) {
            return Err(invalid("cache_ttl", "is at least 1 second"));
        }
        if config.max_resp_body_size == 0 {
            return Err(invalid("max_resp_body_size", "is at least 1 byte"));
        }
        if config.collapse_timeout_ms > 600_000 {
            return Err(invalid("collapse_timeout_ms", "is at most 600000 (10 minutes)"));
        }
        let keys = Keys::new(&config.cache_key, config.consumer_isolation)?;
        let lifetime = match (is_on_disk, config.cache_control) {
            (true, _) => Lifetime::Told(Some(config.cache_ttl.unwrap_or(zone.spec().cache_ttl))),
            (false, true) => Lifetime::Told(None),
            (false, false) => Lifetime::Set(config.cache_ttl.unwrap_or(300)),
        };
        let policy = Policy {
            plugin: NAME,
            status_field: status_field(&config.status_header)?,
            statuses,
            lifetime,
            keeps_cookies: config.cache_set_cookie,
            hides_lifetime: config.hide_cache_headers,
            max_body: if is_on_disk { u64::MAX } else { config.max_resp_body_size },
            while_revalidate: config.stale_while_revalidate,
            if_error: config.stale_if_error,
            collapse: Duration::from_millis(config.collapse_timeout_ms.into()),
            unkeyed: Unkeyed::but(keys.fields()),
        };
        let (engine, life) = Engine::new(zone, policy);
        Ok(Self {
            engine,
            _life: life,
            keys,
            methods,
            bypass: conditions("cache_bypass", &config.cache_bypass)?,
            no_cache: conditions("no_cache", &config.no_cache)?,
            heeds_requests: config.cache_control,
            purge_from: Networks::parse(NAME, "purge_from", &config.purge_from)?,
            bodies: Bodies::default(),
        })
    }

    /// Reads bodies of POSTs so, in place of within the default limits.
    #[must_use]
    pub fn with_bodies(self, bodies: Bodies) -> Self {
        Self { bodies, ..self }
    }

    /// Takes out what is kept of the request's URL.
    async fn purge(&self, request: Request) -> Response {
        let client = client_addr(&request).filter(|_| !is_behind_a_stranger(&request));
        if !client.is_some_and(|client| self.purge_from.contains(client)) {
            return reject(StatusCode::FORBIDDEN, NAME, "Your IP address is not allowed to purge");
        }
        let was_there = self.engine.zone.purge(self.keys.url(&request)).await;
        reject_empty(if was_there { StatusCode::OK } else { StatusCode::NOT_FOUND }, NAME)
    }

    /// What a request asks of the cache.
    fn query(&self, request: &Request, body: &[u8]) -> Query {
        let keyed = self.keys.of(request, class(request.method()), body);
        let control = match self.heeds_requests {
            true => CacheControl::of_request(request.headers()),
            false => CacheControl::default(),
        };
        let vars = RequestVars::of(request);
        Query {
            key: keyed.key,
            authorized: keyed.authorized,
            reads: !control.no_store && !control.no_cache && !any_holds(&self.bypass, &vars),
            stores: !control.no_store && !any_holds(&self.no_cache, &vars),
            control,
        }
    }
}

/// A HEAD is answered by what a GET has left.
fn class(method: &Method) -> &Method {
    if *method == Method::HEAD { &Method::GET } else { method }
}

fn status_field(name: &str) -> Result<HeaderName, ConfigError> {
    own_field(NAME, "status_header", name)
}

impl Around for ProxyCache {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        if request.method().as_str() == "PURGE" {
            return self.purge(request).await;
        }
        let changes = |request: &Request| (!request.method().is_safe()).then(|| self.keys.url(request));
        if !self.methods.contains(request.method()) {
            return self.engine.pass(changes(&request), request, &next, "MISS").await;
        }
        let is_post = *request.method() == Method::POST;
        let length = request.body().size_hint().exact().unwrap_or(u64::MAX);
        if is_beside(&request) || length > if is_post { KEYED_BODY as u64 } else { 0 } {
            return self.engine.pass(changes(&request), request, &next, "BYPASS").await;
        }
        let body = match self.bodies.collect(std::mem::take(request.body_mut()), KEYED_BODY).await {
            Ok(body) => body,
            Err(unread) => return unread.into_response(NAME),
        };
        let query = self.query(&request, &body);
        *request.body_mut() = Body::from(body);
        self.engine.serve(query, request, next).await
    }
}
