//! `multi-auth`: identifies the consumer by the first of several authentication plugins that knows him.
//!
//! Decision: 1. the plugins are asked in the order written, and the first success ends it; 2. a plugin that answers with
//! something else than 401, such as 400 for two `Authorization` fields or 413 for a body, ends it with that status; 3. all
//! failed: 401. The body is `Authorization Failed` in either case; what the plugins say goes to the log.
//!
//! * Stage: authenticate.
//! * Answers: 401 with the challenges of all plugins in `WWW-Authenticate` (RFC 9110 §11.6.1), or the status of 2. A
//!   request that is let in leaves no trace of the plugins that failed.
//! * Reads and writes what the plugin does that succeeds.
//! * A plugin with `anonymous_consumer` never fails: those behind it are not asked.
//!
//! In code, a chain of layers that is built once; here of the plugins' own compiled blocks:
//!
//! ```
//! use std::sync::Arc;
//! use tollgate::plugin::{AroundLayer, Authenticate};
//! use tollgate::plugins::basic_auth::{BasicAuth, BasicAuthConfig, BasicAuthPlugin};
//! use tollgate::plugins::key_auth::{KeyAuth, KeyAuthConfig};
//! use tollgate::plugins::multi_auth::MultiAuth;
//! use tollgate::request::Consumers;
//!
//! # fn main() -> Result<(), tollgate::BoxError> {
//! let consumers = Arc::new(Consumers::builder().build());
//! let key = KeyAuth::new(KeyAuthConfig::default(), Arc::clone(&consumers))?;
//! let basic = BasicAuth::new(BasicAuthConfig::default(), consumers, &BasicAuthPlugin::default())?;
//! let either: Vec<Arc<dyn Authenticate>> = vec![Arc::new(key), Arc::new(basic)];
//! let layer = AroundLayer::of(MultiAuth::new(either));
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! ```json
//! {"multi-auth": {"auth_plugins": [{"key-auth": {"header": "x-api-key"}}, {"basic-auth": {}}]}}
//! ```
use std::fmt;
use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Request, Response, reject};
use crate::plugin::{
    Around, AroundLayer, Authenticate, BuildContext, ConfigError, Plugin, Registry, SchemaOf, Scope, Stage,
};
use crate::{Next, PluginLayer};

/// Options of `multi-auth`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MultiAuthConfig {
    /// The plugins in the order in which they are asked, each an object of one name and its block; at least 2. Required.
    pub auth_plugins: Vec<Map<String, Value>>,
}

/// The compiled block.
pub struct MultiAuth(Vec<Arc<dyn Authenticate>>);

/// [`MultiAuth`] as a layer.
pub type MultiAuthLayer = AroundLayer<MultiAuth>;

impl MultiAuth {
    /// Asks these, in order. Of none nobody is let in.
    pub fn new(plugins: Vec<Arc<dyn Authenticate>>) -> Self {
        Self(plugins)
    }

    async fn admit(&self, request: &mut Request) -> Result<(), Response> {
        let mut refusal = reject(StatusCode::UNAUTHORIZED, MultiAuthPlugin::NAME, "Authorization Failed");
        for plugin in &self.0 {
            let Err(answer) = plugin.authenticate(request).await else { return Ok(()) };
            log(&answer);
            for challenge in answer.headers().get_all(WWW_AUTHENTICATE) {
                refusal.headers_mut().append(WWW_AUTHENTICATE, challenge.clone());
            }
            // The request may have lost its body to such a plugin: it must not go on.
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Err(reject(answer.status(), MultiAuthPlugin::NAME, "Authorization Failed"));
            }
        }
        Err(refusal)
    }
}

/// Which plugin refused, and why.
fn log(answer: &Response) {
    #[cfg(feature = "tracing")]
    if let Some(fault) = answer.extensions().get::<crate::Fault>() {
        tracing::warn!(plugin = MultiAuthPlugin::NAME, by = fault.source(), reason = fault.message(), "a try failed");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = answer;
}

impl Around for MultiAuth {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        match self.admit(&mut request).await {
            Ok(()) => next.run(request).await,
            Err(answer) => answer,
        }
    }
}

impl fmt::Debug for MultiAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MultiAuth({} plugins)", self.0.len())
    }
}

/// Builds [`MultiAuthLayer`]s out of configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct MultiAuthPlugin;

impl Plugin for MultiAuthPlugin {
    const NAME: &'static str = "multi-auth";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2600;
    type Config = MultiAuthConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<MultiAuthConfig>()
    }

    fn build(&self, config: MultiAuthConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        if config.auth_plugins.len() < 2 {
            let reason = "names less than 2 plugins: add one, or put the one on the route itself";
            return Err(ConfigError::invalid(Self::NAME, "auth_plugins", reason));
        }
        let standard = Registry::standard();
        let registry = cx.registry().unwrap_or(&standard);
        let plugins = config.auth_plugins.iter().enumerate().map(|(at, entry)| child(at, entry, registry, cx));
        Ok(AroundLayer::of(MultiAuth(plugins.collect::<Result<_, _>>()?)).into())
    }

    fn identity_fields(&self, config: &MultiAuthConfig) -> Vec<HeaderName> {
        config.auth_plugins.iter().flat_map(fields_of).collect()
    }
}

/// The fields by which one of the plugins tells the origin who calls: no other may let a client's own pass.
fn fields_of(entry: &Map<String, Value>) -> Vec<HeaderName> {
    let standard = Registry::standard();
    let fields = entry.iter().filter_map(|(name, block)| {
        let built = standard.get(name)?.build(block.as_object()?, &BuildContext::new(&Scope::Code));
        Some(built.ok()?.identity_fields)
    });
    fields.flatten().collect()
}

fn child(
    at: usize,
    entry: &Map<String, Value>,
    registry: &Registry,
    cx: &BuildContext<'_>,
) -> Result<Arc<dyn Authenticate>, ConfigError> {
    let invalid = |place: String, reason: String| ConfigError::invalid(MultiAuthPlugin::NAME, place, reason);
    let place = format!("auth_plugins.{at}");
    let mut entries = entry.iter();
    let (Some((name, block)), None) = (entries.next(), entries.next()) else {
        return Err(invalid(place, "has not exactly one plugin: make an object of one name and its block".to_owned()));
    };
    let plugin = registry.get(name).ok_or_else(|| invalid(place.clone(), format!("{name} plugin did not found")))?;
    if !plugin.is_auth() {
        return Err(invalid(place, format!("{name} plugin is not supported")));
    }
    let place = format!("{place}.{name}");
    // `key-auth:` and nothing behind it.
    let empty = Map::new();
    let block = match block {
        Value::Object(block) => block,
        Value::Null => &empty,
        _ => return Err(invalid(place, format!("plugin {name} check schema failed: expected an object"))),
    };
    plugin.authenticator(block, cx).map_err(|error| {
        let place = match error.field() {
            "" => place,
            field => format!("{place}.{field}"),
        };
        invalid(place, format!("plugin {name} check schema failed: {}", error.reason()))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::Body;
    use crate::plugin::Gate;

    /// Answers with its status, or lets the request in at 200; in either case it leaves its mark on an answer.
    struct Answers(u16);

    impl Gate for Answers {
        fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
            if self.0 == 200 {
                request.headers_mut().insert("x-let-in", HeaderValue::from_static("1"));
                return Ok(());
            }
            let mut answer = reject(StatusCode::from_u16(self.0).unwrap(), "child", "secret reason");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from(self.0));
            Err(answer)
        }
    }

    async fn asked(statuses: &[u16]) -> (u16, Vec<String>, String) {
        let plugins: Vec<Arc<dyn Authenticate>> =
            statuses.iter().map(|status| Arc::new(Answers(*status)) as Arc<dyn Authenticate>).collect();
        let end = Next::from_fn(|request: Request| async move {
            assert!(request.headers().contains_key("x-let-in"));
            Response::new(Body::from("end"))
        });
        let answer =
            PluginLayer::from(AroundLayer::of(MultiAuth::new(plugins))).wrap(end).run(Request::default()).await;
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter().map(|one| one.to_str().unwrap().to_owned());
        let challenges = challenges.collect();
        let text = String::from_utf8(answer.body().as_bytes().unwrap().to_vec()).unwrap();
        (answer.status().as_u16(), challenges, text)
    }

    #[tokio::test]
    async fn the_first_success_counts_and_nothing_of_the_others_is_seen() {
        let failed = "{\"message\":\"Authorization Failed\"}\n";
        for (statuses, status, challenges, text) in [
            (&[200, 500][..], 200, &[][..], "end"),
            (&[401, 200], 200, &[], "end"),
            (&[401, 401], 401, &["401", "401"], failed),
            (&[401, 413, 200], 413, &[], failed),
            (&[400, 200], 400, &[], failed),
            (&[], 401, &[], failed),
        ] {
            let wanted = (status, challenges.iter().map(|one| (*one).to_owned()).collect(), text.to_owned());
            assert_eq!(asked(statuses).await, wanted, "{statuses:?}");
        }
    }

    #[test]
    fn blocks_that_cannot_work_are_refused_by_field() {
        let build = |plugins: Value| {
            let config = serde_json::from_value(json!({"auth_plugins": plugins})).unwrap();
            MultiAuthPlugin.build(config, &BuildContext::new(&Scope::Code)).unwrap_err()
        };
        for (plugins, field, says) in [
            (json!([]), "auth_plugins", "less than 2"),
            (json!([{"key-auth": {}}]), "auth_plugins", "less than 2"),
            (json!([{"key-auth": {}}, {}]), "auth_plugins.1", "exactly one"),
            (json!([{"key-auth": {}, "basic-auth": {}}, {"key-auth": {}}]), "auth_plugins.0", "exactly one"),
            (json!([{"key-auth": null}, {"nothing": {}}]), "auth_plugins.1", "nothing plugin did not found"),
            (json!([{"multi-auth": {}}, {"key-auth": {}}]), "auth_plugins.0", "multi-auth plugin is not supported"),
            (
                json!([{"key-auth": {"header": "a b"}}, {"basic-auth": {}}]),
                "auth_plugins.0.key-auth.header",
                "plugin key-auth check schema failed: is no name",
            ),
            (
                json!([{"key-auth": {"heder": "a"}}, {"basic-auth": {}}]),
                "auth_plugins.0.key-auth.heder",
                "plugin key-auth check schema failed: unknown field",
            ),
            (json!([{"key-auth": 1}, {"basic-auth": {}}]), "auth_plugins.0.key-auth", "expected an object"),
        ] {
            let error = build(plugins);
            assert_eq!(error.field(), field);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
