//! The question and what follows from its answer.
use std::ops::RangeInclusive;
use std::sync::Arc;
#[cfg(feature = "rego")]
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::decision::{Stopped, follow};
use super::input::{self, Told};
#[cfg(feature = "rego")]
use super::rego::Rego;
use super::{OpaConfig, OpaPlugin};
use crate::body::Body;
use crate::error::{Error, IntoResponse as _, reject_empty};
use crate::plugin::bodies::Bodies;
use crate::plugin::{Around, AroundLayer, ConfigError, Plugin as _};
#[cfg(feature = "rego")]
use crate::plugin::{Bench, Busy};
use crate::plugins::callout::{Calling, Callout, CalloutError, Callouts, http_uri};
use crate::plugins::checks::{own_field, within};
use crate::request::CallerFields;
use crate::{Next, Request, Response};

/// Applies [`Opa`].
pub type OpaLayer = AroundLayer<Opa>;

/// One block of `opa`, compiled.
#[derive(Debug)]
pub struct Opa {
    decider: Decider,
    told: Told,
    /// Longest body that is told, if bodies are.
    max_body: Option<usize>,
    bodies: Bodies,
    upstream: Arc<[HeaderName]>,
}

/// Who decides.
#[derive(Debug)]
enum Decider {
    Server {
        callout: Box<Callout>,
        uri: Uri,
    },
    #[cfg(feature = "rego")]
    Here {
        rego: Arc<Rego>,
        /// Where it decides when it takes long.
        bench: Bench,
    },
}

const NAME: &str = OpaPlugin::NAME;
/// How long a request waits for a place where a slow policy is worked out.
#[cfg(feature = "rego")]
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Milliseconds that a question may take.
const TIMEOUT: RangeInclusive<u64> = 1..=60_000;

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
enum Undecided {
    #[error(transparent)]
    Callout(#[from] CalloutError),
    #[error("the server answered with status {0}")]
    Status(StatusCode),
    #[error("the server's answer is no decision: {0}")]
    Nonsense(&'static str),
    #[cfg(feature = "rego")]
    #[error("the policy cannot be worked out: {0}")]
    Rego(String),
    #[cfg(feature = "rego")]
    #[error("the policy is worked out for others, no place got free in time")]
    Crowded,
    #[error("`{0}` of the decision's `headers` cannot be written to a request")]
    Field(HeaderName),
}

impl Opa {
    /// Compiles a block, with connections of its own.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub fn new(config: OpaConfig, bodies: Bodies) -> Result<Self, ConfigError> {
        Self::with_callouts(config, bodies, &Callouts::default())
    }

    /// The same, where a slow policy is worked out at a bench that is shared.
    #[cfg(feature = "rego")]
    pub(super) fn at(mut self, shared: &Bench) -> Self {
        if let Decider::Here { bench, .. } = &mut self.decider {
            bench.clone_from(shared);
        }
        self
    }

    pub(super) fn with_callouts(config: OpaConfig, bodies: Bodies, callouts: &Callouts) -> Result<Self, ConfigError> {
        within(NAME, "max_req_body_size", config.max_req_body_size, 1..=usize::MAX as u64)?;
        let names = config.send_headers_upstream.iter().enumerate();
        let names = names.map(|(at, name)| own_field(NAME, &format!("send_headers_upstream.{at}"), name));
        let calling = Calling {
            timeout: config.timeout,
            keepalive: config.keepalive,
            keepalive_timeout: config.keepalive_timeout,
            keepalive_pool: config.keepalive_pool,
            ssl_verify: config.ssl_verify,
        };
        Ok(Self {
            decider: match &config.rego {
                Some(text) => {
                    calling.judge(NAME, TIMEOUT)?;
                    here(&config, text)?
                }
                None => {
                    Decider::Server { callout: Box::new(calling.client(NAME, TIMEOUT, callouts)?), uri: uri(&config)? }
                }
            },
            told: Told::from(&config),
            max_body: config.with_body.then(|| usize::try_from(config.max_req_body_size).unwrap_or(usize::MAX)),
            bodies,
            upstream: names.collect::<Result<_, _>>()?,
        })
    }

    /// The document about a request. Its body, if that is told, is read, and stays in the request as well.
    async fn input(&self, request: Request) -> Result<(Request, Value), Response> {
        let Some(most) = self.max_body else {
            let input = input::input(self.told, &request, None);
            return Ok((request, input));
        };
        let (head, body) = request.into_parts();
        let bytes = self.bodies.collect(body, most).await.map_err(|unread| unread.into_response(NAME))?;
        // as the origin will understand it
        let plain =
            self.bodies.unpack(&head.headers, bytes.clone()).await.map_err(|unread| unread.into_response(NAME))?;
        let told = input::body(&self.bodies, &head.headers, &plain)
            .map_err(|_| Error::BadRequest("the body is nothing that can be judged").into_response())?;
        let request = Request::from_parts(head, Body::from(bytes));
        let input = input::input(self.told, &request, Some(told));
        Ok((request, input))
    }

    /// Lets a request pass, or answers it.
    async fn decide(&self, request: Request) -> Result<Request, Response> {
        let (mut request, input) = self.input(request).await?;
        let decision = self.decider.ask(input).await.map_err(|undecided| {
            told(&undecided);
            reject_empty(undecided.status(), NAME)
        })?;
        match follow(&decision, &self.upstream, request.headers_mut()) {
            Ok(()) => {
                if self.upstream.iter().any(|name| request.headers().contains_key(name)) {
                    CallerFields::add(request.extensions_mut(), &self.upstream);
                }
                Ok(request)
            }
            Err(Stopped::Refused(answer)) => Err(*answer),
            Err(Stopped::Unfulfillable(name)) => {
                let undecided = Undecided::Field(name);
                told(&undecided);
                Err(reject_empty(undecided.status(), NAME))
            }
        }
    }
}

impl Decider {
    /// The document that decides.
    async fn ask(&self, input: Value) -> Result<Map<String, Value>, Undecided> {
        let (callout, uri) = match self {
            Self::Server { callout, uri } => (callout, uri),
            #[cfg(feature = "rego")]
            Self::Here { rego, .. } if !rego.is_slow() => return rego.decide(input).map_err(Undecided::Rego),
            #[cfg(feature = "rego")]
            Self::Here { rego, bench } => {
                let rego = Arc::clone(rego);
                return match bench.run_within(LONGEST_WAIT, move || rego.decide(input)).await {
                    Ok(Some(decision)) => decision.map_err(Undecided::Rego),
                    Ok(None) => Err(Undecided::Rego("it broke off".to_owned())),
                    Err(Busy) => Err(Undecided::Crowded),
                };
            }
        };
        let mut question = http::Request::new(Bytes::from(json!({"input": input}).to_string()));
        *question.method_mut() = http::Method::POST;
        *question.uri_mut() = uri.clone();
        question.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = callout.send(question).await?;
        if answer.status() != StatusCode::OK {
            return Err(Undecided::Status(answer.status()));
        }
        match serde_json::from_slice(answer.body()) {
            Ok(Value::Object(mut answer)) => match answer.remove("result") {
                Some(Value::Object(decision)) => Ok(decision),
                Some(_) => Err(Undecided::Nonsense("`result` is no object: name the document that holds `allow`")),
                None => Err(Undecided::Nonsense("it has no `result`")),
            },
            Ok(_) => Err(Undecided::Nonsense("it is no object")),
            Err(_) => Err(Undecided::Nonsense("it is no JSON")),
        }
    }
}

impl Undecided {
    /// As the catalogue has it: who cannot be reached lets nobody pass, who talks nonsense is a fault of the service.
    fn status(&self) -> StatusCode {
        match self {
            Self::Callout(CalloutError::Malformed(_) | CalloutError::TooLong(_))
            | Self::Status(_)
            | Self::Field(_)
            | Self::Nonsense(_) => StatusCode::SERVICE_UNAVAILABLE,
            #[cfg(feature = "rego")]
            Self::Rego(_) | Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Callout(_) => StatusCode::FORBIDDEN,
        }
    }
}

impl Around for Opa {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        match self.decide(request).await {
            Ok(request) => next.run(request).await,
            Err(response) => response,
        }
    }
}

/// A policy of the block's own.
fn here(config: &OpaConfig, text: &str) -> Result<Decider, ConfigError> {
    let wrong = |field: &str, reason: &str| Err(ConfigError::invalid(NAME, field, reason));
    if !config.host.is_empty() || !config.policy.is_empty() {
        return wrong("rego", "decides in this process: remove `host` and `policy`, or `rego`");
    }
    #[cfg(feature = "rego")]
    {
        /// The policy is worked out where requests are served until it was slow, which waits for it.
        const LONGEST: Duration = Duration::from_millis(100);
        let limit = Duration::from_millis(config.timeout).min(LONGEST);
        match Rego::compile(text, config.data.clone(), limit) {
            Ok(rego) => Ok(Decider::Here { rego: Arc::new(rego), bench: Bench::default() }),
            Err(reason) => wrong("rego", &reason),
        }
    }
    #[cfg(not(feature = "rego"))]
    {
        let _ = text;
        wrong("rego", "needs a build with the feature `rego`")
    }
}

/// Where the question goes.
fn uri(config: &OpaConfig) -> Result<Uri, ConfigError> {
    let wrong = |field: &str, reason: String| ConfigError::invalid(NAME, field, reason);
    for (field, text) in [("host", &config.host), ("policy", &config.policy)] {
        if text.is_empty() {
            return Err(wrong(field, format!("property \"{field}\" is required")));
        }
    }
    let host = http_uri(&config.host).map_err(|error| wrong("host", error.to_string()))?;
    if host.query().is_some() {
        return Err(wrong("host", "has a query: write an address such as `http://127.0.0.1:8181`".to_owned()));
    }
    let policy = config.policy.trim_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    if policy.is_empty() || !policy.bytes().all(plain) || policy.split('/').any(|step| matches!(step, "" | "." | ".."))
    {
        let reason = "is no path of a document: write one such as `example/http`, as `package example.http` has it";
        return Err(wrong("policy", reason.to_owned()));
    }
    let text = format!("{}/v1/data/{policy}", config.host.trim_end_matches('/'));
    http_uri(&text).map_err(|error| wrong("host", error.to_string()))
}

fn told(undecided: &Undecided) {
    #[cfg(feature = "tracing")]
    tracing::warn!(plugin = NAME, error = undecided as &dyn std::error::Error, "there is no decision");
    #[cfg(not(feature = "tracing"))]
    let _ = undecided;
}
