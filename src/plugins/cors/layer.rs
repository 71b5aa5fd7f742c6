//! The code around the chain.
use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};

use super::config::{CorsConfig, CorsMetadata};
use super::origins::{Origins, Rule};
use crate::plugin::{Around, AroundLayer, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage, shape};
use crate::{Next, PluginLayer, Request, Response, answer_of};

pub(super) const NAME: &str = CorsPlugin::NAME;

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// Tells browsers which pages may use a service.
#[derive(Clone, Debug)]
pub struct Cors {
    rule: Rule,
    timing: Option<Rule>,
    methods: HeaderValue,
    /// `None`: those that are asked for.
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
    credentials: bool,
    varies: bool,
}

impl Cors {
    /// Compiles a block.
    ///
    /// # Errors
    /// What is no origin or regular expression, and `*` together with `allow_credential`.
    pub fn new(config: CorsConfig) -> Result<Self, ConfigError> {
        Self::with_metadata(config, &CorsMetadata::default())
    }

    /// As [`Cors::new`], with the origins that `allow_origins_by_metadata` names.
    ///
    /// # Errors
    /// As [`Cors::new`].
    pub fn with_metadata(config: CorsConfig, metadata: &CorsMetadata) -> Result<Self, ConfigError> {
        let timing = config.timing_allow_origins.as_deref();
        let open = [&*config.allow_origins, &*config.allow_methods, &*config.allow_headers];
        let also_open = [config.expose_headers.as_deref().unwrap_or_default(), timing.unwrap_or_default()];
        if config.allow_credential && open.iter().chain(&also_open).any(|text| *text == "*") {
            let reason = "you can not set '*' for other option when 'allow_credential' is true";
            return Err(ConfigError::invalid(NAME, "", reason));
        }
        let value = |field: &str, text: &str| {
            HeaderValue::from_str(text).map_err(|_| ConfigError::invalid(NAME, field, "is no field value"))
        };
        let origins = Origins::parse("allow_origins", &config.allow_origins)?;
        let varies = !origins.is_any();
        let rule = match (&config.allow_origins_by_metadata, &config.allow_origins_by_regex) {
            (Some(names), _) => {
                let named = names.iter().filter_map(|name| metadata.allow_origins.get_key_value(name));
                let parse = |(name, text): (&String, &String)| Origins::parse(&format!("allow_origins.{name}"), text);
                let otherwise = (!origins.is_any()).then_some(origins);
                Rule::Named { named: named.map(parse).collect::<Result<_, _>>()?, otherwise }
            }
            (None, Some(texts)) => Rule::patterns("allow_origins_by_regex", texts)?,
            (None, None) => Rule::Origins(origins),
        };
        let timing = match (&config.timing_allow_origins_by_regex, timing) {
            (Some(texts), _) => Some(Rule::patterns("timing_allow_origins_by_regex", texts)?),
            (None, Some(text)) => Some(Rule::Origins(Origins::parse("timing_allow_origins", text)?)),
            (None, None) => None,
        };
        let methods = match &*config.allow_methods {
            "**" => "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE",
            methods => methods,
        };
        let headers = Some(&*config.allow_headers).filter(|headers| *headers != "**");
        let expose = config.expose_headers.as_deref().filter(|expose| !expose.is_empty());
        Ok(Self {
            varies: varies || rule.varies() || timing.as_ref().is_some_and(Rule::varies),
            rule,
            timing,
            methods: value("allow_methods", methods)?,
            headers: headers.map(|headers| value("allow_headers", headers)).transpose()?,
            expose: expose.map(|expose| value("expose_headers", expose)).transpose()?,
            max_age: HeaderValue::from(config.max_age),
            credentials: config.allow_credential,
        })
    }

    /// What the answer to a request with these fields is to tell.
    fn judge(&self, request: &HeaderMap) -> Verdict {
        let origin = request.get(ORIGIN);
        Verdict {
            origin: self.rule.allow(origin),
            timing: self.timing.as_ref().and_then(|timing| timing.allow(origin)),
            headers: self.headers.as_ref().or_else(|| request.get(ACCESS_CONTROL_REQUEST_HEADERS)).cloned(),
        }
    }

    /// Writes the verdict into the fields of an answer.
    fn tell(&self, verdict: Verdict, headers: &mut HeaderMap) {
        if self.varies && !varies_by_origin(headers) {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(timing) = verdict.timing {
            headers.insert(TIMING_ALLOW_ORIGIN, timing);
        }
        let Some(origin) = verdict.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        if let Some(expose) = &self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
        if let Some(allowed) = verdict.headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        match self.credentials {
            true => _ = headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
            // The upstream's word for credentials was not about the origins that are allowed here.
            false => _ = headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS),
        }
    }
}

/// What is told.
struct Verdict {
    origin: Option<HeaderValue>,
    timing: Option<HeaderValue>,
    headers: Option<HeaderValue>,
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let mut names = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.any(|name| matches!(name.trim_ascii(), name if name == b"*" || name.eq_ignore_ascii_case(b"origin")))
}

/// Request extension: whose pages may read the answer is decided, and not to be said otherwise further in.
#[derive(Clone, Copy, Debug)]
pub(in crate::plugins) struct Judged;

impl Around for Cors {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        let verdict = self.judge(request.headers());
        let mut response = match *request.method() {
            Method::OPTIONS => answer_of(NAME, Response::default()),
            _ => {
                request.extensions_mut().insert(Judged);
                next.run(request).await
            }
        };
        self.tell(verdict, response.headers_mut());
        response
    }
}

/// Puts [`Cors`] around a service.
pub type CorsLayer = AroundLayer<Cors>;

/// Registry entry: builds [`CorsLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct CorsPlugin;

impl Plugin for CorsPlugin {
    const NAME: &'static str = "cors";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 4000;
    type Config = CorsConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<CorsConfig>().or_else(|| of.metadata::<CorsMetadata>())
    }

    fn build(&self, config: CorsConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let metadata = cx.metadata(NAME)?.unwrap_or_default();
        Cors::with_metadata(config, &metadata).map(|cors| CorsLayer::of(cors).into())
    }

    fn caveats(&self, config: &CorsConfig) -> Vec<Caveat> {
        let mut caveats = Vec::new();
        if config.allow_credential && config.allow_origins == "**" {
            let message = "lets any page on the web act with its visitors' log-in";
            caveats.push(Caveat::new("allow_origins", message, "name the origins, or leave `allow_credential` off"));
        }
        for (index, text) in config.allow_origins_by_regex.iter().flatten().enumerate() {
            if !text.ends_with('$') {
                let message = "does not end with `$`: it fits origins that only begin like yours, such as \
                               https://example.org.evil.test";
                let field = format!("allow_origins_by_regex.{index}");
                caveats.push(Caveat::new(field, message, "write `$` at its end"));
            }
        }
        caveats
    }

    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        let metadata: CorsMetadata = shape(NAME, metadata)?;
        let mut all = metadata.allow_origins.iter();
        all.try_for_each(|(name, text)| Origins::parse(&format!("allow_origins.{name}"), text).map(|_| ()))
    }
}
