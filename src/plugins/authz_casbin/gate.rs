//! The decision, and the layer.
use std::borrow::Cow;
use std::fs;

use http::{HeaderName, StatusCode};

use super::policy::Policy;
use super::{AuthzCasbinConfig, AuthzCasbinMetadata, AuthzCasbinPlugin};
use crate::Response;
use crate::error::{reject, reject_empty};
use crate::plugin::{ConfigError, Gate, GateLayer, Plugin as _};
use crate::plugins::consumer_auth::{Repeated, single};
use crate::request::RequestVars;
use crate::router::{Value, VarName, Variables as _};

const NAME: &str = AuthzCasbinPlugin::NAME;

/// [`AuthzCasbin`] as a layer.
pub type AuthzCasbinLayer = GateLayer<AuthzCasbin>;

/// One block of `authz-casbin`, compiled.
#[derive(Debug)]
pub struct AuthzCasbin {
    username: HeaderName,
    /// `None` where there is nothing to ask.
    policy: Option<Policy>,
}

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
        let read = |field: &str, path: &str| fs::read_to_string(path).map_err(|error| wrong(field, error.to_string()));
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
                    return Ok(Self { username, policy });
                }
                _ => {
                    let reason = "write `model` and `policy`, or `model_path` and `policy_path`, or none of them";
                    return Err(wrong("", reason.into()));
                }
            };
        Ok(Self { username, policy: Some(compiled(&model, &policy, of_model, of_policy)?) })
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
        ConfigError::invalid(NAME, field, fault.reason)
    })
}

impl Gate for AuthzCasbin {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        let Some(policy) = &self.policy else { return Err(reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME)) };
        let denied = || reject(StatusCode::FORBIDDEN, NAME, "Access Denied");
        let subject = match single(request.headers(), &self.username) {
            Ok(None) => "anonymous",
            // two values, and what is no text or an empty one, are nobody's name
            Ok(Some(value)) => match std::str::from_utf8(value.as_bytes()) {
                Ok(name) if !name.is_empty() => name,
                _ => return Err(denied()),
            },
            Err(Repeated) => return Err(denied()),
        };
        let variables = RequestVars::of(request);
        let path = match variables.get(&VarName::Uri) {
            Some(Value::Text(path)) => path,
            _ => return Err(denied()),
        };
        match policy.allows(subject, &String::from_utf8_lossy(&path), request.method().as_str()) {
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
}
