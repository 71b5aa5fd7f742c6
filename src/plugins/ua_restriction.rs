//! `ua-restriction`: lets requests pass, or turns them away, by what they say their software is. Stage: access.
//!
//! Decision: 1. without a `User-Agent` only `bypass_missing` lets pass; 2. with `allowlist` one of the expressions must fit,
//! with `denylist` none may. Blanks around the value do not count. Where the field stands on several lines, an expression
//! fits if it fits one of them.
//!
//! Answer: 403 with `{"message":"<message>"}`. Reads `User-Agent`, writes nothing.
//!
//! What a client says of itself is no proof: this keeps honest robots out, and nobody else.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header::USER_AGENT};
//! use tollgate::plugins::ua_restriction::{UaRestriction, UaRestrictionConfig, UaRestrictionLayer};
//!
//! let mut config = UaRestrictionConfig::default();
//! config.denylist = Some(vec!["(?i)bot\\b".to_owned()]);
//! let restriction = UaRestriction::new(config)?;
//! let mut headers = HeaderMap::new();
//! headers.insert(USER_AGENT, HeaderValue::from_static("SomeBot/1.0"));
//! assert!(!restriction.allows(&headers));
//! let layer = UaRestrictionLayer::of(restriction);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"ua-restriction": {"denylist": ["(?i)bot\\b", "^python-"], "bypass_missing": true}}
//! ```
use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::checks::{Listed, length, one_list};
use super::patterns::Patterns;
use crate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::{PluginLayer, Response, reject};

/// Options of `ua-restriction`. Exactly one of `allowlist` and `denylist` is to be set.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UaRestrictionConfig {
    /// Regular expressions of software that alone may pass; at least one, each of 1 to 4096 characters, not anchored unless
    /// they say so. Not set by default.
    pub allowlist: Option<Vec<String>>,
    /// Regular expressions of software that may not pass, written as those of `allowlist`. Not set by default.
    pub denylist: Option<Vec<String>>,
    /// Let requests without `User-Agent` pass. Default `false`.
    pub bypass_missing: bool,
    /// Text for those who may not pass, 1 to 1024 characters. Default `Not allowed`.
    pub message: String,
}

impl Default for UaRestrictionConfig {
    fn default() -> Self {
        Self { allowlist: None, denylist: None, bypass_missing: false, message: "Not allowed".to_owned() }
    }
}

/// The decision of `ua-restriction`.
#[derive(Clone, Debug)]
pub struct UaRestriction {
    listed: Listed,
    patterns: Patterns,
    bypass_missing: bool,
    message: String,
}

impl UaRestriction {
    /// Compiles a block.
    ///
    /// # Errors
    /// What is no regular expression, a list too many or missing, an empty message.
    pub fn new(config: UaRestrictionConfig) -> Result<Self, ConfigError> {
        const NAME: &str = UaRestrictionPlugin::NAME;
        let (listed, field, list) = one_list(NAME, ("allowlist", config.allowlist), ("denylist", config.denylist))?;
        let patterns = Patterns::parse(NAME, field, &list, false)?;
        length(NAME, "message", &config.message, 1024)?;
        Ok(Self { listed, patterns, bypass_missing: config.bypass_missing, message: config.message })
    }

    /// Whether a request with these fields may pass.
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(USER_AGENT).iter().peekable();
        if lines.peek().is_none() {
            return self.bypass_missing;
        }
        self.listed.lets_pass(lines.any(|line| self.patterns.is_match(line.as_bytes().trim_ascii())))
    }
}

impl Gate for UaRestriction {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        match self.allows(request.headers()) {
            true => Ok(()),
            false => Err(reject(StatusCode::FORBIDDEN, UaRestrictionPlugin::NAME, &self.message)),
        }
    }
}

/// Puts [`UaRestriction`] before a service.
pub type UaRestrictionLayer = GateLayer<UaRestriction>;

/// Registry entry: builds [`UaRestrictionLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct UaRestrictionPlugin;

impl Plugin for UaRestrictionPlugin {
    const NAME: &'static str = "ua-restriction";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2999;
    type Config = UaRestrictionConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<UaRestrictionConfig>()
    }

    fn build(&self, config: UaRestrictionConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        UaRestriction::new(config).map(|restriction| UaRestrictionLayer::of(restriction).into())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::super::testing::{ask, build_error, built, configured};
    use super::*;

    fn headers(agents: &[&[u8]]) -> HeaderMap {
        agents.iter().map(|agent| (USER_AGENT, HeaderValue::from_bytes(agent).unwrap())).collect()
    }

    #[test]
    fn lists_decide_by_what_a_client_says() {
        let allow = |more: bool| {
            let block = json!({"allowlist": ["^good/", "fine$"], "bypass_missing": more});
            UaRestriction::new(configured(block)).unwrap()
        };
        let deny = |more: bool| {
            let block = json!({"denylist": ["^bad/", "evil.x"], "bypass_missing": more});
            UaRestriction::new(configured(block)).unwrap()
        };
        for (agents, allowed, not_denied) in [
            (&[&b"good/1"[..]][..], true, true),
            (&[b"  good/1  "], true, true),
            (&[b"quite fine"], true, true),
            (&[b"Good/1"], false, true),
            (&[b"bad/1"], false, false),
            (&[b" bad/1"], false, false),
            (&[b"so evil\xffx"], false, false),
            (&[b""], false, true),
            (&[b"other", b"good/1"], true, true),
            (&[b"good/1", b"bad/1"], true, false),
        ] {
            let headers = headers(agents);
            assert_eq!(
                (allow(false).allows(&headers), deny(true).allows(&headers)),
                (allowed, not_denied),
                "{agents:?}"
            );
        }
        let none = headers(&[]);
        assert!(!allow(false).allows(&none) && !deny(false).allows(&none));
        assert!(allow(true).allows(&none) && deny(true).allows(&none));
    }

    #[tokio::test]
    async fn the_answer_is_403_with_the_message() {
        for (block, agent, status, body) in [
            (json!({"denylist": ["x"]}), "x", 403, "{\"message\":\"Not allowed\"}\n"),
            (json!({"allowlist": ["x"], "message": "go away"}), "y", 403, "{\"message\":\"go away\"}\n"),
            (json!({"allowlist": ["x"]}), "x", 200, ""),
        ] {
            let request = http::Request::builder().header(USER_AGENT, agent).body(crate::Body::empty()).unwrap();
            let answer = ask(&built(UaRestrictionPlugin, &block), request).await;
            assert_eq!((answer.status(), answer.body()), (status, body), "{block}");
        }
    }

    #[test]
    fn faulty_blocks_are_refused() {
        for (block, says) in [
            (json!({}), "exactly one of `allowlist` and `denylist`"),
            (json!({"allowlist": ["a"], "denylist": ["a"]}), "exactly one of"),
            (json!({"denylist": []}), "denylist: is empty"),
            (json!({"denylist": ["a", "("]}), "denylist.1: is no regular expression"),
            (json!({"denylist": ["a"], "message": ""}), "message: is empty"),
            (json!({"whitelist": ["a"]}), "unknown field `whitelist`"),
        ] {
            let error = build_error(UaRestrictionPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
