//! `public-api`: makes a route the entry to something that a plugin answers by itself, such as the metrics of
//! `prometheus`. Stage: access.
//!
//! Decision: 1. the path is `uri`, or the request's own without it; 2. what a plugin offers under that path answers, with
//! the query unchanged; 3. nothing there → 404 without a body.
//!
//! What plugins offer is reachable by such a route only, so that the route's other plugins (keys, address lists) guard it.
//! The route needs no upstream.
//!
//! ```
//! use tollgate::plugin::Api;
//! use tollgate::plugins::public_api::{PublicApi, PublicApiConfig, PublicApiLayer};
//! use tollgate::{Body, Next, Response};
//!
//! let alive = Next::from_fn(|_| async { Response::new(Body::from("alive")) });
//! let apis = [Api { path: "/alive".to_owned(), service: alive }];
//! let layer = PublicApiLayer::of(PublicApi::new(PublicApiConfig::default(), apis)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"public-api": {"uri": "/apisix/prometheus/metrics"}}
//! ```
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use http::StatusCode;
use http::uri::PathAndQuery;
use serde::Deserialize;

use crate::error::{Request, Response};
use crate::plugin::{Api, Around, AroundLayer, BuildContext, ConfigError, Plugin, SchemaOf, Stage};
use crate::service::BoxFuture;
use crate::{Next, PluginLayer, reject_empty};

/// Options of `public-api`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PublicApiConfig {
    /// The path under which a plugin offers what is to answer, without a query. Default: the request's own path.
    pub uri: Option<String>,
}

/// Answers in place of an upstream.
pub struct PublicApi {
    apis: HashMap<String, Next>,
    uri: Option<PathAndQuery>,
}

/// Applies [`PublicApi`].
pub type PublicApiLayer = AroundLayer<PublicApi>;

impl PublicApi {
    /// Makes `apis` reachable.
    ///
    /// # Errors
    /// [`ConfigError`] when `uri` is no path.
    pub fn new(config: PublicApiConfig, apis: impl IntoIterator<Item = Api>) -> Result<Self, ConfigError> {
        let path = |uri: String| match uri.parse::<PathAndQuery>() {
            Ok(path) if uri.starts_with('/') && path.query().is_none() => Ok(path),
            _ => Err(ConfigError::invalid(PublicApiPlugin::NAME, "uri", "must be a path that begins with `/`")),
        };
        Ok(Self {
            apis: apis.into_iter().map(|api| (api.path, api.service)).collect(),
            uri: config.uri.map(path).transpose()?,
        })
    }

    /// What answers everything below a path that this one begins with.
    fn below(&self, path: &str) -> Option<&Next> {
        let begins = |known: &str| known.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix));
        self.apis.iter().find(|(known, _)| begins(known)).map(|(_, service)| service)
    }

    /// Sends a request to what answers it.
    fn answer(&self, mut request: Request) -> BoxFuture {
        let path = self.uri.as_ref().map_or(request.uri().path(), PathAndQuery::path);
        let Some(api) = self.apis.get(path).or_else(|| self.below(path)) else {
            return Box::pin(std::future::ready(reject_empty(StatusCode::NOT_FOUND, PublicApiPlugin::NAME)));
        };
        if let Some(uri) = &self.uri {
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            let query = parts.path_and_query.as_ref().and_then(PathAndQuery::query);
            let whole = query.and_then(|query| format!("{}?{query}", uri.path()).parse().ok());
            parts.path_and_query = Some(whole.unwrap_or_else(|| uri.clone()));
            *request.uri_mut() = http::Uri::from_parts(parts).unwrap_or_else(|_| uri.clone().into());
        }
        api.run(request)
    }
}

impl fmt::Debug for PublicApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicApi").field("uri", &self.uri).field("apis", &self.apis).finish()
    }
}

impl Around for PublicApi {
    fn handle(self: Arc<Self>, request: Request, _: Next) -> impl Future<Output = Response> + Send {
        self.answer(request)
    }
}

/// Registry entry of `public-api`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublicApiPlugin;

impl Plugin for PublicApiPlugin {
    const NAME: &'static str = "public-api";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 501;
    type Config = PublicApiConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<PublicApiConfig>()
    }

    fn build(&self, config: PublicApiConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let mut apis = Vec::new();
        if let Some(registry) = cx.registry() {
            for entry in registry.names().filter_map(|name| registry.get(name)) {
                apis.extend(entry.apis(cx)?);
            }
        }
        Ok(PublicApiLayer::of(PublicApi::new(config, apis)?).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    fn echo() -> Api {
        let service = Next::from_fn(|request: Request| async move { Response::new(request.uri().to_string().into()) });
        Api { path: "/status".to_owned(), service }
    }

    fn below() -> Api {
        Api { path: "/below/*".to_owned(), ..echo() }
    }

    async fn ask(uri: Option<&str>, target: &str) -> (u16, String) {
        let api = PublicApi::new(PublicApiConfig { uri: uri.map(Into::into) }, [echo(), below()]).unwrap();
        let request = http::Request::builder().uri(target).body(Body::empty()).unwrap();
        let response = api.answer(request).await;
        let status = response.status().as_u16();
        (status, String::from_utf8(response.into_body().buffer(99).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_is_offered_answers_and_nothing_else() {
        for (uri, target, status, text) in [
            (None, "/status?a=1", 200, "/status?a=1"),
            (None, "/status/", 404, ""),
            (None, "/below/a/b?c", 200, "/below/a/b?c"),
            (None, "/below", 404, ""),
            (Some("/below/x"), "/any", 200, "/below/x"),
            (Some("/status"), "/any?a=1", 200, "/status?a=1"),
            (Some("/status"), "/any", 200, "/status"),
            (Some("/none"), "/status", 404, ""),
        ] {
            assert_eq!(ask(uri, target).await, (status, text.to_owned()), "{uri:?} {target}");
        }
    }

    #[test]
    fn a_uri_is_a_path() {
        for bad in ["", "status", "/a?b", "http://a/"] {
            assert!(PublicApi::new(PublicApiConfig { uri: Some(bad.to_owned()) }, []).is_err(), "{bad}");
        }
    }
}
