//! `fault-injection`: lets requests fail or wait on purpose.
//!
//! 1. `delay`: a request that one of its `vars` holds for waits so long, as often as `percentage` says.
//! 2. `abort`: then a request that one of its `vars` holds for is answered with `http_status`, `headers` and `body`, as
//!    often as its `percentage` says.
//!
//! Each decides for itself and at random. Stage: edge, before authentication: who is answered here has not been
//! authenticated, nor counted by limits, and the answer passes only the layers outside of this one, so it carries no
//! CORS fields.
//!
//! ```
//! use tollgate::plugin::AroundLayer;
//! use tollgate::plugins::fault_injection::{AbortConfig, FaultInjection, FaultInjectionConfig};
//!
//! let mut config = FaultInjectionConfig::default();
//! config.abort = Some(AbortConfig::new(503));
//! let layer = AroundLayer::of(FaultInjection::new(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"fault-injection": {
//!   "delay": {"duration": 0.5, "percentage": 10},
//!   "abort": {"http_status": 503, "body": "for $remote_addr", "vars": [[["http_x_test", "==", "1"]]]}
//! }}
//! ```
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::chance::Dice;
use super::condition::AnyOf;
use super::edit::{FieldTemplate, FieldValues, append_fields, compile_fields};
use crate::plugin::{Around, AroundLayer, BuildContext, ConfigError, Plugin, SchemaOf, Stage};
use crate::request::{RequestVars, Template};
use crate::router::Variables;
use crate::{Body, Next, PluginLayer, Request, Response, answer_of};

/// Options of `fault-injection`. At least one of the two.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultInjectionConfig {
    /// Answers instead of the upstream. Default: none.
    pub abort: Option<AbortConfig>,
    /// Waits before the request goes on. Default: none.
    pub delay: Option<DelayConfig>,
}

/// An answer instead of the upstream's.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AbortConfig {
    /// The status, 200–999. Required.
    pub http_status: u16,
    /// The body, a template; sent as `text/plain` unless `headers` say otherwise. Default: none.
    #[serde(default)]
    pub body: Option<String>,
    /// Fields: strings (templates) or numbers. Default: none.
    #[serde(default)]
    pub headers: BTreeMap<String, FieldValues>,
    /// How many of 100 requests, 0–100. Default: all.
    #[serde(default)]
    pub percentage: Option<u8>,
    /// For which requests: 1–20 expressions, of which one must hold. Default: for all.
    #[serde(default)]
    pub vars: Option<Vec<Value>>,
}

impl AbortConfig {
    /// An abort of every request.
    pub fn new(http_status: u16) -> Self {
        Self { http_status, body: None, headers: BTreeMap::new(), percentage: None, vars: None }
    }
}

/// A wait.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DelayConfig {
    /// How long, in seconds; may have a fraction. Required.
    pub duration: f64,
    /// How many of 100 requests, 0–100. Default: all.
    #[serde(default)]
    pub percentage: Option<u8>,
    /// For which requests: 1–20 expressions, of which one must hold. Default: for all.
    #[serde(default)]
    pub vars: Option<Vec<Value>>,
}

impl DelayConfig {
    /// A delay of every request by so many seconds.
    pub fn new(duration: f64) -> Self {
        Self { duration, percentage: None, vars: None }
    }
}

/// Injects faults.
#[derive(Debug)]
pub struct FaultInjection {
    delay: Option<(When, Duration)>,
    abort: Option<(When, Abort)>,
}

/// Which requests are meant.
#[derive(Debug)]
struct When {
    vars: AnyOf,
    percentage: u8,
}

#[derive(Debug)]
struct Abort {
    status: StatusCode,
    body: Option<Template>,
    headers: Vec<(HeaderName, FieldTemplate)>,
}

/// [`FaultInjection`] around a service.
pub type FaultInjectionLayer = AroundLayer<FaultInjection>;

impl FaultInjection {
    /// Compiles the options.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: FaultInjectionConfig) -> Result<Self, ConfigError> {
        let fault = |field: &str, reason: &str| ConfigError::invalid(FaultInjectionPlugin::NAME, field, reason);
        if config.abort.is_none() && config.delay.is_none() {
            return Err(fault("", "write at least one of `abort` and `delay`"));
        }
        let delay = config.delay.map(|delay| {
            let duration = Duration::try_from_secs_f64(delay.duration);
            let duration = duration.map_err(|_| fault("delay.duration", "is a number of seconds, 0 or more"))?;
            Ok((When::compile("delay", delay.percentage, delay.vars.as_deref())?, duration))
        });
        let abort = config.abort.map(|abort| {
            let status = StatusCode::from_u16(abort.http_status).ok().filter(|status| status.as_u16() >= 200);
            let status = status.ok_or_else(|| fault("abort.http_status", "is a status from 200 on"))?;
            let body = abort.body.as_deref().map(Template::parse).transpose();
            let body = body.map_err(|error| fault("abort.body", &error.to_string()))?;
            let headers = compile_fields(FaultInjectionPlugin::NAME, "abort.headers", &abort.headers)?;
            let when = When::compile("abort", abort.percentage, abort.vars.as_deref())?;
            Ok((when, Abort { status, body, headers }))
        });
        Ok(Self { delay: delay.transpose()?, abort: abort.transpose()? })
    }

    /// How long a request waits; `below(100)` is a random number below 100.
    fn wait(&self, vars: &dyn Variables, below: impl FnOnce(u32) -> u32) -> Option<Duration> {
        self.delay.as_ref().filter(|(when, _)| when.holds(vars, below)).map(|(_, duration)| *duration)
    }

    /// What a request is answered, if it is; `below(100)` is a random number below 100.
    fn answer(&self, vars: &dyn Variables, below: impl FnOnce(u32) -> u32) -> Option<Response> {
        let (_, abort) = self.abort.as_ref().filter(|(when, _)| when.holds(vars, below))?;
        let mut response = Response::default();
        *response.status_mut() = abort.status;
        append_fields(&abort.headers, vars, response.headers_mut());
        if let Some(body) = &abort.body {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().entry(CONTENT_TYPE).or_insert(text);
            *response.body_mut() = Body::from(body.render(vars).text);
        }
        Some(answer_of(FaultInjectionPlugin::NAME, response))
    }
}

impl When {
    fn compile(part: &str, percentage: Option<u8>, vars: Option<&[Value]>) -> Result<Self, ConfigError> {
        let fault = |field: &str, reason: &str| {
            Err(ConfigError::invalid(FaultInjectionPlugin::NAME, format!("{part}.{field}"), reason))
        };
        let percentage = percentage.unwrap_or(100);
        if percentage > 100 {
            return fault("percentage", "is a number from 0 to 100");
        }
        if vars.is_some_and(|vars| !(1..=20).contains(&vars.len())) {
            return fault("vars", "has 1 to 20 expressions; without any, leave it out");
        }
        let vars = AnyOf::compile(FaultInjectionPlugin::NAME, &format!("{part}.vars"), vars.unwrap_or_default())?;
        Ok(Self { vars, percentage })
    }

    fn holds(&self, vars: &dyn Variables, below: impl FnOnce(u32) -> u32) -> bool {
        // No dice where there is nothing to decide.
        let chosen = self.percentage > 0 && self.vars.holds(vars);
        chosen && (self.percentage >= 100 || below(100) < u32::from(self.percentage))
    }
}

impl Around for FaultInjection {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let below = |bound| Dice::new().below(bound);
        let wait = self.wait(&RequestVars::of(&request), below);
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
        let answer = self.answer(&RequestVars::of(&request), below);
        match answer {
            Some(response) => response,
            None => next.run(request).await,
        }
    }
}

/// Registry entry of `fault-injection`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultInjectionPlugin;

impl Plugin for FaultInjectionPlugin {
    const NAME: &'static str = "fault-injection";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 11_000;
    type Config = FaultInjectionConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<FaultInjectionConfig>()
    }

    fn build(&self, config: FaultInjectionConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        FaultInjection::new(config).map(|faults| AroundLayer::of(faults).into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::Fault;
    use crate::plugin::shape;

    fn faults(block: Value) -> Result<FaultInjection, ConfigError> {
        FaultInjection::new(shape(FaultInjectionPlugin::NAME, block.as_object().unwrap())?)
    }

    fn request(target: &str) -> Request {
        http::Request::builder().uri(target).body(Body::empty()).unwrap()
    }

    /// The status of an abort when the dice show `rolled`.
    fn status(abort: Value, target: &str, rolled: u32) -> Option<u16> {
        let faults = faults(json!({ "abort": abort })).unwrap();
        let request = request(target);
        faults.answer(&RequestVars::of(&request), |_| rolled).map(|response| response.status().as_u16())
    }

    #[test]
    fn who_is_aborted() {
        let vars = json!([[["arg_a", "==", "1"], ["arg_b", "==", "1"]], [["arg_c", "==", "1"]]]);
        for (abort, target, rolled, wanted) in [
            (json!({"http_status": 503}), "/", 99, Some(503)),
            (json!({"http_status": 200, "percentage": 100}), "/", 99, Some(200)),
            (json!({"http_status": 503, "percentage": 0}), "/", 0, None),
            (json!({"http_status": 503, "percentage": 30}), "/", 29, Some(503)),
            (json!({"http_status": 503, "percentage": 30}), "/", 30, None),
            (json!({"http_status": 503, "vars": vars}), "/?a=1", 0, None),
            (json!({"http_status": 503, "vars": vars}), "/?a=1&b=1", 0, Some(503)),
            (json!({"http_status": 503, "vars": vars}), "/?c=1", 0, Some(503)),
            (json!({"http_status": 503, "vars": vars, "percentage": 1}), "/?c=1", 1, None),
        ] {
            assert_eq!(status(abort.clone(), target, rolled), wanted, "{abort} {target} {rolled}");
        }
    }

    #[test]
    fn what_an_abort_says() {
        let abort = json!({
            "http_status": 418, "body": "no $arg_a", "headers": {"x-a": "$arg_a", "x-n": 5, "x-none": "$arg_none"},
        });
        let faults = faults(json!({ "abort": abort })).unwrap();
        let request = request("/?a=tea%0D%0Ax");
        let response = faults.answer(&RequestVars::of(&request), |_| 0).unwrap();
        assert_eq!(response.status(), 418);
        assert_eq!(response.body().as_bytes(), Some(&b"no tea\r\nx"[..]));
        let field = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(
            ["x-a", "x-n", "x-none", "content-type"].map(field),
            [Some("tea%0D%0Ax"), Some("5"), None, Some("text/plain; charset=utf-8")]
        );
        assert_eq!(response.extensions().get::<Fault>().map(Fault::code), Some("fault-injection"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_comes_before_an_abort_and_before_the_upstream() {
        let end = || Next::from_fn(|_| async { Response::default() });
        for (block, target, status, seconds) in [
            (json!({"delay": {"duration": 1.5}}), "/", 200, 1.5),
            (json!({"delay": {"duration": 2, "percentage": 0}}), "/", 200, 0.0),
            (json!({"delay": {"duration": 2, "vars": [[["arg_a", "==", "1"]]]}}), "/", 200, 0.0),
            (json!({"delay": {"duration": 2}, "abort": {"http_status": 500}}), "/", 500, 2.0),
            (
                json!({"delay": {"duration": 2}, "abort": {"http_status": 500, "vars": [[["arg_a", "==", "1"]]]}}),
                "/",
                200,
                2.0,
            ),
        ] {
            let chain = PluginLayer::from(AroundLayer::of(faults(block.clone()).unwrap())).wrap(end());
            let began = Instant::now();
            assert_eq!(chain.run(request(target)).await.status(), status, "{block}");
            let took = began.elapsed().as_secs_f64();
            // The clock stands in whole milliseconds.
            assert!((seconds..seconds + 0.01).contains(&took), "{block} took {took} s");
        }
    }

    #[test]
    fn faults_name_their_field() {
        for (block, field, says) in [
            (json!({}), "", "at least one of `abort` and `delay`"),
            (json!({"abort": {}}), "abort", "missing field `http_status`"),
            (json!({"abort": {"http_status": 199}}), "abort.http_status", "from 200 on"),
            (json!({"abort": {"http_status": 500, "percentage": 101}}), "abort.percentage", "0 to 100"),
            (json!({"abort": {"http_status": 500, "vars": []}}), "abort.vars", "1 to 20"),
            (json!({"abort": {"http_status": 500, "vars": vec![json!([]); 21]}}), "abort.vars", "1 to 20"),
            (json!({"abort": {"http_status": 500, "vars": [["a"]]}}), "abort.vars.0", "'vars' expression"),
            (json!({"abort": {"http_status": 500, "body": "${"}}), "abort.body", "closing"),
            (
                json!({"abort": {"http_status": 500, "headers": {"connection": "x"}}}),
                "abort.headers.connection",
                "connection",
            ),
            (json!({"delay": {"percentage": 1}}), "delay", "missing field `duration`"),
            (json!({"delay": {"duration": -1}}), "delay.duration", "0 or more"),
            (json!({"delay": {"duration": 1e300}}), "delay.duration", "0 or more"),
            (json!({"wait": {}}), "wait", "unknown field"),
        ] {
            let error = faults(block.clone()).unwrap_err();
            assert_eq!(error.field(), field, "{block}");
            assert!(error.to_string().contains(says), "{block}: {error}");
        }
    }
}
