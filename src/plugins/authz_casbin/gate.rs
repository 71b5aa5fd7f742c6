//! The decision, and the layer.
use std::borrow::Cow;
use std::fs;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::policy::Policy;
use super::{AuthzCasbinConfig, AuthzCasbinMetadata, AuthzCasbinPlugin};
use crate::error::{reject, reject_empty};
use crate::plugin::{AroundLayer, Bench, Busy, ConfigError, Hop, Plugin as _};
use crate::plugins::consumer_auth::{Repeated, single};
use crate::request::RequestVars;
use crate::router::{Value, VarName, Variables as _};
use crate::{BoxFuture, Next, Request, Response};

const NAME: &str = AuthzCasbinPlugin::NAME;

/// [`AuthzCasbin`] as a layer.
pub type AuthzCasbinLayer = AroundLayer<AuthzCasbin>;

/// One block of `authz-casbin`, compiled.
#[derive(Debug)]
pub struct AuthzCasbin {
    username: HeaderName,
    /// `None` where there is nothing to ask.
    policy: Option<Policy>,
    /// Where long ones are worked out.
    bench: Bench,
}

/// A request, judged.
enum Judged {
    Passes,
    Refused(Response),
    /// By a policy that takes long.
    Later(Question),
}

/// What a long policy is asked, beside the request.
struct Question {
    subject: String,
    path: String,
    method: Method,
}

/// Policies that are worked out on the worker, in about a millisecond at most. More of them take another thread, so that they
/// hold up no other request.
const SHORT: usize = 500;
/// How long a request waits for its turn where policies are long; what comes faster than they can be asked does not pile up.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Most bytes of a file.
const LARGEST: u64 = 4 << 20;

impl AuthzCasbin {
    /// Compiles a block that has its own model.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub fn new(config: AuthzCasbinConfig) -> Result<Self, ConfigError> {
        Self::with_metadata(config, None)
    }

    /// As [`AuthzCasbin::new`], with the model and policy for blocks that have none.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub fn with_metadata(
        config: AuthzCasbinConfig,
        metadata: Option<&AuthzCasbinMetadata>,
    ) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| ConfigError::invalid(NAME, field, reason);
        if config.username.is_empty() {
            return Err(wrong(
                "username",
                "property \"username\" is required: name the field that says who calls".into(),
            ));
        }
        let username = HeaderName::try_from(&config.username)
            .map_err(|_| wrong("username", "is no name of a field: write one such as X-Consumer-Username".into()))?;
        let (of_model, of_policy, model, policy) =
            match (&config.model, &config.policy, &config.model_path, &config.policy_path) {
                (Some(model), Some(policy), None, None) => {
                    ("model", "policy", Cow::Borrowed(&**model), Cow::Borrowed(&**policy))
                }
                (None, None, Some(model), Some(policy)) => (
                    "model_path",
                    "policy_path",
                    Cow::Owned(read("model_path", model)?),
                    Cow::Owned(read("policy_path", policy)?),
                ),
                (None, None, None, None) => {
                    let policy = metadata.map(Self::of_metadata).transpose()?.flatten();
                    return Ok(Self::of(username, policy));
                }
                _ => {
                    let reason = "write `model` and `policy`, or `model_path` and `policy_path`, or none of them";
                    return Err(wrong("", reason.into()));
                }
            };
        Ok(Self::of(username, Some(compiled(&model, &policy, of_model, of_policy)?)))
    }

    fn of(username: HeaderName, policy: Option<Policy>) -> Self {
        Self { username, policy, bench: Bench::default() }
    }

    /// The same, where long policies are worked out at a bench that is shared.
    pub(super) fn at(self, bench: &Bench) -> Self {
        Self { bench: bench.clone(), ..self }
    }

    /// What blocks without a model have; `None` where nothing is said.
    pub(super) fn of_metadata(metadata: &AuthzCasbinMetadata) -> Result<Option<Policy>, ConfigError> {
        match (&metadata.model, &metadata.policy) {
            (Some(model), Some(policy)) => compiled(model, policy, "model", "policy").map(Some),
            (None, None) => Ok(None),
            _ => Err(ConfigError::invalid(NAME, "", "write `model` and `policy`, or none of them")),
        }
    }

    /// Whether there is a policy to ask.
    pub(super) fn is_armed(&self) -> bool {
        self.policy.is_some()
    }
}

fn compiled(model: &str, policy: &str, of_model: &str, of_policy: &str) -> Result<Policy, ConfigError> {
    Policy::compile(model, policy).map_err(|fault| {
        let field = if fault.is_of_model { of_model } else { of_policy };
        let is_of_file = field.ends_with("_path");
        ConfigError::invalid(NAME, field, if is_of_file { unquoted(&fault.reason) } else { fault.reason })
    })
}

/// A fault up to what it quotes: whoever writes routes may name any file that the gateway can read.
fn unquoted(reason: &str) -> String {
    // Casbin's own faults quote a line without marks
    let end = ["line=", "`"].into_iter().filter_map(|quote| reason.find(quote)).min();
    match end {
        Some(end) => format!("{}…", reason.get(..end).unwrap_or_default().trim_end_matches([',', ' '])),
        None => reason.to_owned(),
    }
}

impl AuthzCasbin {
    /// Who calls, by the field that says so; `None`: nobody that could be asked about.
    fn subject<'r>(&self, headers: &'r HeaderMap) -> Option<&'r str> {
        match single(headers, &self.username) {
            Ok(None) => Some("anonymous"),
            // two values, and what is no text or an empty one, are nobody's name
            Ok(Some(value)) => std::str::from_utf8(value.as_bytes()).ok().filter(|name| !name.is_empty()),
            Err(Repeated) => None,
        }
    }

    /// Judges a request where it is served, unless that takes long.
    fn judge<B>(&self, policy: &Policy, request: &http::Request<B>) -> Judged {
        let Some(subject) = self.subject(request.headers()) else { return Judged::Refused(denied()) };
        let variables = RequestVars::of(request);
        let Some(Value::Text(path)) = variables.get(&VarName::Uri) else { return Judged::Refused(denied()) };
        let path = String::from_utf8_lossy(&path);
        let method = request.method();
        if policy.len() > SHORT {
            let (subject, path) = (subject.to_owned(), path.into_owned());
            return Judged::Later(Question { subject, path, method: method.clone() });
        }
        match decide(policy, subject, &path, method) {
            Ok(()) => Judged::Passes,
            Err(answer) => Judged::Refused(answer),
        }
    }

    async fn decide_apart(self: Arc<Self>, Question { subject, path, method }: Question) -> Result<(), Response> {
        let me = Arc::clone(&self);
        let deciding = self.bench.run_within(LONGEST_WAIT, move || match &me.policy {
            Some(policy) => decide(policy, &subject, &path, &method),
            None => Err(denied()),
        });
        match deciding.await {
            Ok(decided) => decided.unwrap_or_else(|| Err(denied())),
            Err(Busy) => Err(crowded()),
        }
    }
}

impl Hop for AuthzCasbin {
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture {
        let Some(policy) = &self.policy else {
            return Box::pin(ready(reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME)));
        };
        match self.judge(policy, &request) {
            Judged::Passes => next.run(request),
            Judged::Refused(answer) => Box::pin(ready(answer)),
            Judged::Later(question) => {
                let (me, next) = (Arc::clone(self), next.clone());
                Box::pin(async move {
                    match me.decide_apart(question).await {
                        Ok(()) => next.run(request).await,
                        Err(answer) => answer,
                    }
                })
            }
        }
    }
}

fn decide(policy: &Policy, subject: &str, path: &str, method: &Method) -> Result<(), Response> {
    match policy.allows(subject, path, method.as_str()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(denied()),
        Err(error) => {
            #[cfg(feature = "tracing")]
            tracing::error!(plugin = NAME, error = &error as &dyn std::error::Error, "the policy cannot be asked");
            #[cfg(not(feature = "tracing"))]
            let _ = error;
            Err(denied())
        }
    }
}

/// 503: too many ask at once.
fn crowded() -> Response {
    let mut response = reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The text of a file, if it is one: a device or a pipe may have no end.
fn read(field: &str, path: &str) -> Result<String, ConfigError> {
    let wrong = |reason: String| ConfigError::invalid(NAME, field, reason);
    let about = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !about.is_file() {
        return Err(wrong("is no file".to_owned()));
    }
    if about.len() > LARGEST {
        return Err(wrong(format!("has {} bytes: at most {LARGEST} are read", about.len())));
    }
    fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}

fn denied() -> Response {
    reject(StatusCode::FORBIDDEN, NAME, "Access Denied")
}
