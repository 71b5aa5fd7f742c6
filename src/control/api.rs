//! The service: from a path to what answers it.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request};
use http_body::Body as HttpBody;
use serde_json::{Value, json};
use tower::Service;

use super::{config, discovery, effective, guard, health, items, matching, reply, schemas};
use crate::gateway::Gateway;
use crate::plugin::SecretFields;
use crate::router::percent_decode;
use crate::{Body, BoxError, Next, Response};

/// The control API of one gateway: see the [module](super). Its answers are made on tokio's threads for blocking work, so it
/// must be called inside of a tokio runtime.
#[derive(Clone)]
pub struct ControlApi(Arc<Inner>);

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) gateway: Gateway,
    pub(super) secrets: SecretFields,
    place: Option<Arc<str>>,
    #[cfg(feature = "store")]
    pub(super) mirror: Option<crate::store::Mirror>,
    any_host: bool,
    mounted: BTreeMap<String, Next>,
}

impl ControlApi {
    /// What is to be known of `gateway`.
    pub fn new(gateway: Gateway) -> Self {
        let secrets = SecretFields::from(&gateway.registry());
        Self(Arc::new(Inner {
            gateway,
            secrets,
            place: None,
            #[cfg(feature = "store")]
            mirror: None,
            any_host: false,
            mounted: BTreeMap::new(),
        }))
    }

    /// Tells of the store that the gateway follows through `mirror`: how far it is, and the revisions of items.
    #[cfg(feature = "store")]
    #[must_use]
    pub fn with_mirror(self, mirror: crate::store::Mirror) -> Self {
        self.changed(|inner| inner.mirror = Some(mirror))
    }

    /// Says what the configuration comes from, such as the path of a file, where no mirror does.
    #[must_use]
    pub fn with_source(self, place: impl Into<Arc<str>>) -> Self {
        self.changed(|inner| inner.place = Some(place.into()))
    }

    /// Lets requests in by any host name, for a host program that leads a few of the paths to it behind names of its own.
    /// Otherwise only those by an address or by `localhost` are, so that no page in a browser reaches it by a name that was
    /// made to point here.
    #[must_use]
    pub fn with_any_host(self) -> Self {
        self.changed(|inner| inner.any_host = true)
    }

    /// Answers `path` by a service of the host program, such as the metrics of `prometheus`.
    #[must_use]
    pub fn mount(self, path: impl Into<String>, service: Next) -> Self {
        self.changed(|inner| drop(inner.mounted.insert(path.into(), service)))
    }

    fn changed(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl Inner {
    /// What the configuration comes from.
    pub(super) fn source(&self) -> Value {
        #[cfg(feature = "store")]
        if let Some(mirror) = &self.mirror {
            return config::mirror(&mirror.status());
        }
        json!({"place": self.place, "stale": false})
    }

    /// When a store created an item and changed it last, by the names that the reference has for it.
    #[cfg(feature = "store")]
    pub(super) fn revisions(&self, key: &str) -> Vec<(&'static str, u64)> {
        let view = self.mirror.as_ref().map(crate::store::Mirror::view);
        let entry = view.as_ref().and_then(|view| view.get(key));
        entry.map(|entry| vec![("createdIndex", entry.created), ("modifiedIndex", entry.modified)]).unwrap_or_default()
    }

    /// No store, no revisions.
    #[cfg(not(feature = "store"))]
    pub(super) fn revisions(&self, _: &str) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Whether what the configuration comes from works: a file says so itself.
    #[cfg(feature = "store")]
    pub(super) fn is_source_well(&self) -> bool {
        self.mirror.as_ref().is_none_or(|mirror| config::is_well(&mirror.status()))
    }

    /// No store, no more to be said than the gateway does.
    #[cfg(not(feature = "store"))]
    pub(super) fn is_source_well(&self) -> bool {
        true
    }

    /// The list of plugins is followed live; what is due sooner than it would be are secrets that were exchanged.
    fn reload(&self) -> Response {
        match self.gateway.refresh_secrets() {
            Ok(_) => reply::text("done\n".to_owned()),
            Err(error) => reply::fault(http::StatusCode::CONFLICT, error.to_string()),
        }
    }

    fn answer(&self, request: &Request<()>) -> Response {
        let path = request.uri().path();
        let (query, headers) = (request.uri().query(), request.headers());
        let decoded = |part: &str| String::from_utf8_lossy(&percent_decode(part.as_bytes())).into_owned();
        let parts = path.strip_prefix("/v1/").map(|rest| rest.trim_end_matches('/').split('/').map(decoded));
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let is_put = request.method() == Method::PUT;
        match parts[..] {
            ["plugins", "reload"] if is_put => return self.reload(),
            ["config", "confirm"] if is_put => return config::confirm(self),
            ["plugins", "reload"] | ["config", "confirm"] => return reply::wrong_method("PUT"),
            _ => {}
        }
        let answer = match parts[..] {
            ["schema"] => schemas::answer(self),
            ["healthcheck"] => health::all(&self.gateway, headers),
            ["healthcheck", kind, id] => health::one(&self.gateway, kind, id, headers),
            ["match"] => matching::answer(&self.gateway, query, headers),
            ["config", "status"] => config::status(self, query),
            ["config", "generations"] => config::generations(&self.gateway),
            ["route", id, "effective"] => effective::answer(self, id, query),
            ["discovery", kind, "dump"] => discovery::dump(&self.gateway, kind),
            [all] => items::answer(self, all, None).unwrap_or_else(|| unknown(path)),
            [one, id] => items::answer(self, one, Some(id)).unwrap_or_else(|| unknown(path)),
            _ => unknown(path),
        };
        match *request.method() {
            Method::GET | Method::HEAD => answer,
            _ if answer.status() == http::StatusCode::NOT_FOUND => answer,
            _ => reply::wrong_method("GET, HEAD"),
        }
    }
}

fn unknown(path: &str) -> Response {
    reply::not_found(format!("nothing at `{path}`"))
}

/// Future of a [`ControlApi`]'s answer.
pub struct ControlFuture(Pin<Box<dyn Future<Output = Response> + Send>>);

impl fmt::Debug for ControlFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlFuture")
    }
}

impl Future for ControlFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl<B> Service<Request<B>> for ControlApi
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ControlFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ControlFuture {
        if let Err(refusal) = guard::judge(request.uri(), request.headers(), self.0.any_host) {
            return ControlFuture(Box::pin(std::future::ready(refusal)));
        }
        if let Some(service) = self.0.mounted.get(request.uri().path()) {
            return ControlFuture(service.run(request.map(Body::new)));
        }
        let (parts, _) = request.into_parts();
        let inner = Arc::clone(&self.0);
        // A look at a large configuration takes long enough to hold up the requests that the same thread serves.
        ControlFuture(Box::pin(async move {
            let request = Request::from_parts(parts, ());
            let answer = tokio::task::spawn_blocking(move || inner.answer(&request)).await;
            answer.unwrap_or_else(|_| reply::fault(http::StatusCode::INTERNAL_SERVER_ERROR, "the answer failed"))
        }))
    }
}

impl fmt::Debug for ControlApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlApi").field("mounted", &self.0.mounted.keys()).finish_non_exhaustive()
    }
}
