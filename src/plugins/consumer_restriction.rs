//! `consumer-restriction`: lets callers pass, or turns them away, by who they are, or by what they call. Stage: access.
//!
//! Decision: 1. `type` says what is looked at: the consumer's name, its group, or the service or route that is called; where
//! there is none, 401; 2. on the blacklist: turned away; 3. not on the whitelist, if there is one: turned away; 4. without
//! a whitelist, one with an entry in `allowed_by_methods` must use one of its methods. One without an entry passes.
//!
//! The types `service_id` and `route_id` are meant for a block on a consumer: which services and routes may it call.
//!
//! Answers: 401 with `{"message":"The request is rejected, please check the <type> for this request"}`; `rejected_code`,
//! 403 unless set, with `{"message":"The <type> is forbidden."}`, or with `rejected_msg` in its place. Reads the
//! [`Consumer`] and the route that the request came by, writes nothing.
//!
//! ```
//! use http::Method;
//! use tollgate::plugins::consumer_restriction::{
//!     ConsumerRestriction, ConsumerRestrictionConfig, ConsumerRestrictionLayer,
//! };
//!
//! let mut config = ConsumerRestrictionConfig::default();
//! config.whitelist = Some(vec!["alice".to_owned()]);
//! let restriction = ConsumerRestriction::new(config)?;
//! assert!(restriction.allows("alice", &Method::GET) && !restriction.allows("bob", &Method::GET));
//! let layer = ConsumerRestrictionLayer::of(restriction);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"consumer-restriction": {"allowed_by_methods": [{"user": "alice", "methods": ["GET", "HEAD"]}]}}
//! ```
use std::collections::{HashMap, HashSet};
use std::fmt;

use http::StatusCode;
use serde::Deserialize;

use super::checks::{final_status, non_empty};
use crate::model::Method;
use crate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::request::{Consumer, RequestVars};
use crate::router::{Value, VarName, Variables};
use crate::{PluginLayer, Response, reject};

/// Options of `consumer-restriction`. At least one of the three lists is to be set.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ConsumerRestrictionConfig {
    /// What is looked at: `consumer_name`, `consumer_group_id`, `service_id` or `route_id`. Default `consumer_name`.
    #[serde(rename = "type")]
    pub kind: RestrictedKind,
    /// Those who alone may pass; at least one. Not set by default.
    pub whitelist: Option<Vec<String>>,
    /// Those who may not pass; at least one. Not set by default.
    pub blacklist: Option<Vec<String>>,
    /// Those who may pass with some methods only. It is not consulted where there is a whitelist. Not set by default.
    pub allowed_by_methods: Option<Vec<AllowedMethods>>,
    /// Status for those who may not pass, 200 to 999. Default 403.
    pub rejected_code: u16,
    /// Text for those who may not pass. Default `The <type> is forbidden.`
    pub rejected_msg: Option<String>,
}

impl Default for ConsumerRestrictionConfig {
    fn default() -> Self {
        Self {
            kind: RestrictedKind::default(),
            whitelist: None,
            blacklist: None,
            allowed_by_methods: None,
            rejected_code: 403,
            rejected_msg: None,
        }
    }
}

/// What [`ConsumerRestriction`] looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RestrictedKind {
    /// The consumer's name.
    #[default]
    ConsumerName,
    /// The id of the consumer's group.
    ConsumerGroupId,
    /// The id of the route's service.
    ServiceId,
    /// The id of the route.
    RouteId,
}

impl fmt::Display for RestrictedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConsumerName => "consumer_name",
            Self::ConsumerGroupId => "consumer_group_id",
            Self::ServiceId => "service_id",
            Self::RouteId => "route_id",
        })
    }
}

/// The methods that one may use.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AllowedMethods {
    /// Who, by what `type` looks at. Of two entries of one user the first counts. Required.
    pub user: String,
    /// The methods, at least one of `GET`, `POST`, `PUT`, `DELETE`, `PATCH`, `HEAD`, `OPTIONS`, `CONNECT`, `TRACE` and
    /// `PURGE`. Required.
    pub methods: Vec<Method>,
}

/// The decision of `consumer-restriction`.
#[derive(Clone, Debug)]
pub struct ConsumerRestriction {
    kind: RestrictedKind,
    whitelist: Option<HashSet<String>>,
    blacklist: HashSet<String>,
    methods: HashMap<String, Vec<Method>>,
    status: StatusCode,
    message: String,
}

impl ConsumerRestriction {
    /// Compiles a block.
    ///
    /// # Errors
    /// No list at all, an empty one, a status below 200.
    pub fn new(config: ConsumerRestrictionConfig) -> Result<Self, ConfigError> {
        const NAME: &str = ConsumerRestrictionPlugin::NAME;
        let ConsumerRestrictionConfig { kind, whitelist, blacklist, allowed_by_methods, rejected_code, rejected_msg } =
            config;
        if whitelist.is_none() && blacklist.is_none() && allowed_by_methods.is_none() {
            let reason = "at least one of `whitelist`, `blacklist` and `allowed_by_methods` is to be set";
            return Err(ConfigError::invalid(NAME, "", reason));
        }
        for (field, list) in [("whitelist", &whitelist), ("blacklist", &blacklist)] {
            if let Some(list) = list {
                non_empty(NAME, field, list)?;
            }
        }
        let mut methods = HashMap::new();
        for (index, entry) in allowed_by_methods.into_iter().flatten().enumerate() {
            non_empty(NAME, &format!("allowed_by_methods.{index}.methods"), &entry.methods)?;
            methods.entry(entry.user).or_insert(entry.methods);
        }
        Ok(Self {
            kind,
            whitelist: whitelist.map(HashSet::from_iter),
            blacklist: blacklist.into_iter().flatten().collect(),
            methods,
            status: final_status(NAME, "rejected_code", rejected_code)?,
            message: rejected_msg.unwrap_or_else(|| format!("The {kind} is forbidden.")),
        })
    }

    /// Whether one of that name (group, service, route) may pass with that method.
    pub fn allows(&self, value: &str, method: &http::Method) -> bool {
        if self.blacklist.contains(value) {
            return false;
        }
        match &self.whitelist {
            Some(whitelist) => whitelist.contains(value),
            None => {
                let allowed = self.methods.get(value);
                allowed.is_none_or(|allowed| allowed.iter().any(|allowed| allowed.as_str() == method.as_str()))
            }
        }
    }

    /// As [`ConsumerRestriction::allows`] for what a request shows; `None` where it shows nothing of the kind.
    fn judge<B>(&self, request: &http::Request<B>) -> Option<bool> {
        let allows = |value: &str| self.allows(value, request.method());
        let variable = |name: &VarName| match RequestVars::of(request).get(name)? {
            Value::Text(text) => Some(std::str::from_utf8(&text).is_ok_and(allows)),
            _ => None,
        };
        match self.kind {
            RestrictedKind::ConsumerName => Some(allows(Consumer::of(request)?.name())),
            RestrictedKind::ConsumerGroupId => Some(allows(Consumer::of(request)?.group()?)),
            RestrictedKind::ServiceId => variable(&VarName::ServiceId),
            RestrictedKind::RouteId => variable(&VarName::RouteId),
        }
    }
}

impl Gate for ConsumerRestriction {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        const NAME: &str = ConsumerRestrictionPlugin::NAME;
        match self.judge(request) {
            Some(true) => Ok(()),
            Some(false) => Err(reject(self.status, NAME, &self.message)),
            None => {
                let kind = self.kind;
                let message = format_args!("The request is rejected, please check the {kind} for this request");
                Err(reject(StatusCode::UNAUTHORIZED, NAME, message))
            }
        }
    }
}

/// Puts [`ConsumerRestriction`] before a service.
pub type ConsumerRestrictionLayer = GateLayer<ConsumerRestriction>;

/// Registry entry: builds [`ConsumerRestrictionLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerRestrictionPlugin;

impl Plugin for ConsumerRestrictionPlugin {
    const NAME: &'static str = "consumer-restriction";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2400;
    type Config = ConsumerRestrictionConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ConsumerRestrictionConfig>()
    }

    fn build(&self, config: ConsumerRestrictionConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        ConsumerRestriction::new(config).map(|restriction| ConsumerRestrictionLayer::of(restriction).into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{ask, build_error, built, configured};
    use super::*;
    use crate::model::ConsumerSpec;

    #[test]
    fn the_lists_are_asked_in_order() {
        let entry = json!([{"user": "a", "methods": ["GET", "PURGE"]}, {"user": "a", "methods": ["POST"]}]);
        for (block, user, method, allowed) in [
            (json!({"whitelist": ["a", "b"]}), "b", "GET", true),
            (json!({"whitelist": ["a", "b"]}), "c", "GET", false),
            (json!({"whitelist": ["a", "b"]}), "A", "GET", false),
            (json!({"blacklist": ["a"]}), "a", "GET", false),
            (json!({"blacklist": ["a"]}), "b", "GET", true),
            (json!({"whitelist": ["a"], "blacklist": ["a"]}), "a", "GET", false),
            (json!({"allowed_by_methods": entry}), "a", "GET", true),
            (json!({"allowed_by_methods": entry}), "a", "PURGE", true),
            (json!({"allowed_by_methods": entry}), "a", "POST", false),
            (json!({"allowed_by_methods": entry}), "a", "get", false),
            (json!({"allowed_by_methods": entry}), "b", "POST", true),
            // A hit on the whitelist needs no method, and a miss is not mended by one.
            (json!({"whitelist": ["a"], "allowed_by_methods": entry}), "a", "POST", true),
            (json!({"whitelist": ["b"], "allowed_by_methods": entry}), "a", "GET", false),
            (json!({"blacklist": ["a"], "allowed_by_methods": entry}), "a", "GET", false),
        ] {
            let restriction = ConsumerRestriction::new(configured(block.clone())).unwrap();
            let method = http::Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(restriction.allows(user, &method), allowed, "{block} {user} {method}");
        }
    }

    #[tokio::test]
    async fn the_answer_names_what_was_looked_at() {
        let check = |kind: &str| {
            format!("{{\"message\":\"The request is rejected, please check the {kind} for this request\"}}\n")
        };
        let forbidden = |kind: &str| format!("{{\"message\":\"The {kind} is forbidden.\"}}\n");
        for (block, consumer, status, body) in [
            (json!({"whitelist": ["acme"]}), true, 200, String::new()),
            (json!({"whitelist": ["other"]}), true, 403, forbidden("consumer_name")),
            (json!({"whitelist": ["acme"]}), false, 401, check("consumer_name")),
            (json!({"type": "consumer_group_id", "blacklist": ["gold"]}), true, 403, forbidden("consumer_group_id")),
            (json!({"type": "consumer_group_id", "blacklist": ["gold"]}), false, 401, check("consumer_group_id")),
            (json!({"type": "service_id", "whitelist": ["1"]}), true, 401, check("service_id")),
            (json!({"type": "route_id", "whitelist": ["1"]}), true, 401, check("route_id")),
            (
                json!({"blacklist": ["acme"], "rejected_code": 409, "rejected_msg": "not you"}),
                true,
                409,
                "{\"message\":\"not you\"}\n".to_owned(),
            ),
        ] {
            let mut request = http::Request::default();
            if consumer {
                let spec =
                    ConsumerSpec { username: "acme".into(), group_id: Some("gold".into()), ..ConsumerSpec::default() };
                Consumer::new(&spec).attach(&mut request);
            }
            let answer = ask(&built(ConsumerRestrictionPlugin, &block), request).await;
            assert_eq!((answer.status(), answer.body()), (status, &*body), "{block} {consumer}");
        }
    }

    #[test]
    fn faulty_blocks_are_refused() {
        for (block, says) in [
            (json!({}), "at least one of"),
            (json!({"type": "consumer", "whitelist": ["a"]}), "type: unknown variant"),
            (json!({"whitelist": []}), "whitelist: is empty"),
            (json!({"whitelist": ["a"], "blacklist": []}), "blacklist: is empty"),
            (json!({"whitelist": [1]}), "whitelist.0: invalid type"),
            (json!({"allowed_by_methods": [{"user": "a", "methods": []}]}), "allowed_by_methods.0.methods: is empty"),
            (json!({"allowed_by_methods": [{"user": "a", "methods": ["get"]}]}), "methods.0: unknown variant"),
            (json!({"allowed_by_methods": [{"user": "a"}]}), "missing field `methods`"),
            (json!({"whitelist": ["a"], "rejected_code": 199}), "rejected_code: 199"),
            (json!({"whitelist": ["a"], "title": "x"}), "unknown field `title`"),
        ] {
            let error = build_error(ConsumerRestrictionPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
