//! The code around the chain.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::api::by_route;
use super::config::GraphqlProxyCacheConfig;
use super::document::{NoDocument, Operations, operations};
use super::plugin::GraphqlProxyCachePlugin;
use crate::cache::Zone;
use crate::plugin::bodies::{Bodies, Unread};
use crate::plugin::{Around, AroundLayer, ConfigError, Plugin as _};
use crate::plugins::caching::{CacheControl, Engine, Life, Lifetime, Policy, Query, Unkeyed, is_beside};
use crate::plugins::proxy_cache::{CacheStrategy, Keys};
use crate::request::{RequestVars, SharedFacts};
use crate::router::{Value, VarName, Variables as _};
use crate::{Body, Next, Request, Response, reject, reject_empty};

const NAME: &str = GraphqlProxyCachePlugin::NAME;
/// The longest body that is read, in bytes.
const LONGEST: usize = 1 << 20;
const KEY_FIELD: HeaderName = HeaderName::from_static("apisix-cache-key");

/// Keeps the answers to queries.
#[derive(Debug)]
pub struct GraphqlProxyCache {
    engine: Arc<Engine>,
    _life: Life,
    keys: Keys,
    bodies: Bodies,
}

/// Puts [`GraphqlProxyCache`] around a service.
pub type GraphqlProxyCacheLayer = AroundLayer<GraphqlProxyCache>;

impl GraphqlProxyCache {
    /// Compiles a block over a zone, whatever name the block has for it.
    ///
    /// # Errors
    /// A zone of the other strategy, or no time.
    pub fn new(config: GraphqlProxyCacheConfig, zone: Arc<Zone>) -> Result<Self, ConfigError> {
        let is_on_disk = config.cache_strategy == CacheStrategy::Disk;
        if is_on_disk != zone.is_on_disk() {
            let reason = format!("invalid or empty cache_zone for cache_strategy: {}", config.cache_strategy.as_str());
            return Err(ConfigError::invalid(NAME, "cache_zone", reason));
        }
        if config.cache_ttl == Some(0) {
            return Err(ConfigError::invalid(NAME, "cache_ttl", "is at least 1 second"));
        }
        let parts = ["$route_id", "$service_id", "$request_uri", "$http_accept"].map(str::to_owned);
        let keys = Keys::new(&parts, config.consumer_isolation)?.one_by_one();
        let policy = Policy {
            plugin: NAME,
            status_field: HeaderName::from_static("apisix-cache-status"),
            statuses: vec![200],
            lifetime: match is_on_disk {
                true => Lifetime::Told(Some(config.cache_ttl.unwrap_or(zone.spec().cache_ttl))),
                false => Lifetime::Set(config.cache_ttl.unwrap_or(300)),
            },
            keeps_cookies: config.cache_set_cookie,
            hides_lifetime: false,
            max_body: 64 << 20,
            while_revalidate: 0,
            if_error: 0,
            collapse: Duration::from_secs(5),
            unkeyed: Unkeyed::default(),
        };
        let (engine, life) = Engine::new(zone, policy);
        Ok(Self { engine, _life: life, keys, bodies: Bodies::default() })
    }

    /// Reads bodies so, in place of within the default limits.
    #[must_use]
    pub fn with_bodies(self, bodies: Bodies) -> Self {
        Self { bodies, ..self }
    }

    /// The document of a request.
    ///
    /// # Errors
    /// The answer to a request without one.
    fn document(&self, request: &Request, body: &[u8]) -> Result<String, Response> {
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).map_err(|_| invalid(UNREADABLE));
        if *request.method() == Method::GET {
            let vars = RequestVars::of(request);
            return match vars.get(&VarName::Arg("query".into())) {
                Some(Value::Text(query)) => text(&query),
                _ => Err(invalid("invalid graphql request, args[query] is nil")),
            };
        }
        if body.is_empty() {
            return Err(invalid("Invalid graphql request: can't get graphql request body"));
        }
        let media = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes).to_ascii_lowercase();
        // Without parameters: `application/graphql+json` is JSON.
        let essence = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if essence == b"application/graphql" {
            text(body)
        } else if essence == b"application/json" || essence.ends_with(b"+json") {
            let body = self.bodies.json(body).map_err(|_| invalid(UNREADABLE))?;
            let query = body.get("query").and_then(serde_json::Value::as_str).map(str::to_owned);
            query.ok_or_else(|| invalid("invalid graphql request, json body[query] is nil"))
        } else {
            let told = String::from_utf8_lossy(&media).into_owned();
            Err(invalid(&format!("invalid graphql request, error content-type: {told}")))
        }
    }

    async fn collect(&self, request: &mut Request) -> Result<Bytes, Response> {
        let body = std::mem::take(request.body_mut());
        self.bodies.collect(body, LONGEST).await.map_err(|unread: Unread| unread.into_response(NAME))
    }
}

const UNREADABLE: &str = "Invalid graphql request: failed to parse graphql query";

fn invalid(message: &str) -> Response {
    reject(StatusCode::BAD_REQUEST, NAME, message)
}

impl Around for GraphqlProxyCache {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        if *request.method() != Method::GET && *request.method() != Method::POST {
            let mut refusal = reject_empty(StatusCode::METHOD_NOT_ALLOWED, NAME);
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
            return refusal;
        }
        let body = match self.collect(&mut request).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let document = match self.document(&request, &body) {
            Ok(document) => document,
            Err(answer) => return answer,
        };
        let passes = match operations(&document) {
            Err(NoDocument::Malformed) => return invalid(UNREADABLE),
            Err(NoDocument::Empty) => return invalid("Invalid graphql request: empty graphql query"),
            Ok(Operations::Others) => true,
            Ok(Operations::Queries) => is_beside(&request) || *request.method() == Method::GET && !body.is_empty(),
        };
        let keyed = self.keys.of(&request, request.method(), &body);
        let route = SharedFacts::of(&request).and_then(|facts| facts.route.as_ref());
        let told = keyed.everybodys.told(&by_route(route.map_or("", |route| &route.id)));
        *request.body_mut() = Body::from(body);
        if passes {
            return self.engine.pass(None, request, &next, "BYPASS").await;
        }
        let query = Query {
            key: keyed.key,
            authorized: keyed.authorized,
            reads: true,
            stores: true,
            control: CacheControl::default(),
        };
        let mut response = self.engine.serve(query, request, next).await;
        if let Ok(key) = HeaderValue::try_from(told.to_string()) {
            response.headers_mut().insert(KEY_FIELD, key);
        }
        response
    }
}
