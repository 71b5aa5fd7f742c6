//! `uri-blocker`: turns requests away by their path and query. Stage: edge.
//!
//! Decision: the expressions look at `request_uri`, which is the normalised path, `?` and the query as it was sent. 1. If one
//! of them fits anywhere, the request is turned away; 2. where escapes are left in the path, they look at the decoded path
//! as well; 3. where a layer has changed the path, they look at what is about to be forwarded, too (security.md PATH-07).
//!
//! Answer: `rejected_code`, 403 unless set, with `{"error_msg":"<rejected_msg>"}`, or without a body. Reads the target,
//! writes nothing.
//!
//! The path is judged in the form that every layer and the upstream get, so `/./internal` does not evade `^/internal`; in a
//! tower stack without a gateway, which normalises nothing, it does. The query is not decoded: `%73elect` evades `select`.
//! A list of what is forbidden is never complete; where the paths that are allowed can be told, write them as routes.
//!
//! ```
//! use tollgate::plugins::uri_blocker::{UriBlocker, UriBlockerConfig, UriBlockerLayer};
//!
//! let mut config = UriBlockerConfig::default();
//! config.block_rules = vec!["^/internal(/|$)".to_owned(), "\\.(exe|bak)$".to_owned()];
//! let blocker = UriBlocker::new(config)?;
//! assert!(blocker.blocks(b"/internal/x") && !blocker.blocks(b"/internals"));
//! let layer = UriBlockerLayer::of(blocker);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"uri-blocker": {"block_rules": ["^/internal(/|$)", "root\\.exe"], "rejected_msg": "no", "case_insensitive": true}}
//! ```
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;

use super::checks::{final_status, non_empty};
use super::patterns::{Patterns, unique};
use crate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::request::{PathRule, PathRules};
use crate::router::percent_decode;
use crate::{PluginLayer, Response, reject_empty, reject_error_msg};

/// Options of `uri-blocker`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UriBlockerConfig {
    /// Regular expressions of paths and queries that may not pass, each of 1 to 4096 characters, none of them twice, not
    /// anchored unless they say so. Required.
    pub block_rules: Vec<String>,
    /// Status for those who may not pass, 200 to 999. Default 403.
    pub rejected_code: u16,
    /// Text for those who may not pass, at least 1 character. By default the answer has no body.
    pub rejected_msg: Option<String>,
    /// Case does not count. Default `false`.
    pub case_insensitive: bool,
}

impl Default for UriBlockerConfig {
    fn default() -> Self {
        Self { block_rules: Vec::new(), rejected_code: 403, rejected_msg: None, case_insensitive: false }
    }
}

/// The decision of `uri-blocker`.
#[derive(Clone)]
pub struct UriBlocker {
    rules: Arc<Rules>,
    /// The same as a rule that goes with the request.
    rule: Arc<dyn PathRule>,
}

#[derive(Debug)]
struct Rules {
    patterns: Patterns,
    status: StatusCode,
    message: Option<String>,
}

impl UriBlocker {
    /// Compiles a block.
    ///
    /// # Errors
    /// What is no regular expression, no rule at all, a rule that stands twice, an empty text, a status below 200.
    pub fn new(config: UriBlockerConfig) -> Result<Self, ConfigError> {
        const NAME: &str = UriBlockerPlugin::NAME;
        let UriBlockerConfig { block_rules, rejected_code, rejected_msg, case_insensitive } = config;
        non_empty(NAME, "block_rules", &block_rules)?;
        unique(NAME, "block_rules", &block_rules)?;
        if rejected_msg.as_ref().is_some_and(String::is_empty) {
            return Err(ConfigError::invalid(
                NAME,
                "rejected_msg",
                "is empty; leave it out for an answer without a body",
            ));
        }
        let rules = Arc::new(Rules {
            patterns: Patterns::parse(NAME, "block_rules", &block_rules, case_insensitive)?,
            status: final_status(NAME, "rejected_code", rejected_code)?,
            message: rejected_msg,
        });
        let rule: Arc<dyn PathRule> = Arc::<Rules>::clone(&rules);
        Ok(Self { rules, rule })
    }

    /// Whether a request of that path and query (`/a?b`) is turned away.
    pub fn blocks(&self, target: &[u8]) -> bool {
        self.rules.block(target)
    }
}

impl fmt::Debug for UriBlocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.fmt(f)
    }
}

impl Rules {
    fn block(&self, target: &[u8]) -> bool {
        self.patterns.is_match(target)
            || matches!(with_decoded_path(target), Cow::Owned(decoded) if self.patterns.is_match(&decoded))
    }
}

impl PathRule for Rules {
    fn refuse(&self, target: &[u8]) -> Option<Response> {
        const NAME: &str = UriBlockerPlugin::NAME;
        self.block(target).then(|| match &self.message {
            Some(message) => reject_error_msg(self.status, NAME, message),
            None => reject_empty(self.status, NAME),
        })
    }
}

/// The target with the escapes of its path decoded, once; owned if there are any.
fn with_decoded_path(target: &[u8]) -> Cow<'_, [u8]> {
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let Some((path, query)) = target.split_at_checked(end) else { return Cow::Borrowed(target) };
    match percent_decode(path) {
        Cow::Borrowed(_) => Cow::Borrowed(target),
        Cow::Owned(mut decoded) => {
            decoded.extend_from_slice(query);
            Cow::Owned(decoded)
        }
    }
}

impl Gate for UriBlocker {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        PathRules::ask(request, &self.rule).map_or(Ok(()), Err)
    }
}

/// Puts [`UriBlocker`] before a service.
pub type UriBlockerLayer = GateLayer<UriBlocker>;

/// Registry entry: builds [`UriBlockerLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct UriBlockerPlugin;

impl Plugin for UriBlockerPlugin {
    const NAME: &'static str = "uri-blocker";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 2900;
    type Config = UriBlockerConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<UriBlockerConfig>()
    }

    fn build(&self, config: UriBlockerConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        UriBlocker::new(config).map(|blocker| UriBlockerLayer::of(blocker).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{ask, build_error, built, configured};
    use super::*;

    #[test]
    fn rules_look_at_path_and_query() {
        let blocker = |ignore_case: bool| {
            let block = json!({
                "block_rules": ["^/internal/", "root.exe", "select.+from", "<script", "a\\?b=c$"],
                "case_insensitive": ignore_case,
            });
            UriBlocker::new(configured(block)).unwrap()
        };
        for (target, blocked, blocked_in_any_case) in [
            ("/internal/x", true, true),
            ("/Internal/x", false, true),
            ("/x/internal/", false, false),
            ("/internal", false, false),
            ("/x/root.exe?a", true, true),
            ("/x?y=select%20*%20from", true, true),
            // The query is as it was sent.
            ("/x?y=%73elect%20from", false, false),
            ("/x?y=%3Cscript", false, false),
            // What is left encoded in a path is looked at decoded, too.
            ("/%3Cscript%3E", true, true),
            ("/internal%2Fx", true, true),
            ("/x%zz", false, false),
            ("/a?b=c", true, true),
            ("/a%3Fb=c", true, true),
            ("/a?b=cd", false, false),
            ("", false, false),
        ] {
            let found = (blocker(false).blocks(target.as_bytes()), blocker(true).blocks(target.as_bytes()));
            assert_eq!(found, (blocked, blocked_in_any_case), "{target}");
        }
    }

    proptest! {
        #[test]
        fn escapes_of_a_path_hide_nothing_and_the_query_stays(
            word in "[a-z]{1,8}",
            encoded in proptest::collection::vec(any::<bool>(), 8),
            query in "[a-z%0-9=&]{0,12}",
        ) {
            let hidden: String = word
                .bytes()
                .zip(encoded)
                .map(|(byte, encoded)| if encoded { format!("%{byte:02x}") } else { char::from(byte).to_string() })
                .collect();
            let block = json!({"block_rules": [format!("^/x-{word}\\?{query}$")]});
            let blocker = UriBlocker::new(configured(block)).unwrap();
            let target = format!("/x-{hidden}?{query}");
            prop_assert!(blocker.blocks(target.as_bytes()), "{}", target);
            prop_assert!(!blocker.blocks(format!("/?/x-{hidden}?{query}").as_bytes()), "{}", target);
        }
    }

    #[tokio::test]
    async fn the_answer_has_the_message_or_no_body() {
        for (block, status, body) in [
            (json!({"block_rules": ["^/a\\?x$"]}), 403, ""),
            (json!({"block_rules": ["x"], "rejected_msg": "no"}), 403, "{\"error_msg\":\"no\"}\n"),
            (json!({"block_rules": ["x"], "rejected_code": 404}), 404, ""),
            (json!({"block_rules": ["y"]}), 200, ""),
        ] {
            let request = http::Request::builder().uri("http://h/a?x").body(crate::Body::empty()).unwrap();
            let answer = ask(&built(UriBlockerPlugin, &block), request).await;
            assert_eq!((answer.status(), answer.body()), (status, body), "{block}");
        }
    }

    #[test]
    fn sec_path_07_a_changed_path_is_judged_again() {
        let blocker = UriBlocker::new(configured(json!({"block_rules": ["^/internal/"]}))).unwrap();
        let other = UriBlocker::new(configured(json!({"block_rules": ["^/other"]}))).unwrap();
        let mut request = http::Request::builder().uri("/api/x").body(()).unwrap();
        assert!(PathRules::ask_again(&request).is_none());
        assert!(other.check(&mut request).is_ok() && blocker.check(&mut request).is_ok());
        assert!(PathRules::ask_again(&request).is_none());
        for changed in ["/internal/x", "/other?a"] {
            *request.uri_mut() = changed.parse().unwrap();
            assert_eq!(PathRules::ask_again(&request).unwrap().status(), 403, "{changed}");
        }
    }

    #[test]
    fn faulty_blocks_are_refused() {
        for (block, says) in [
            (json!({}), "block_rules: is empty"),
            (json!({"block_rules": ["a", ""]}), "block_rules.1: is empty"),
            (json!({"block_rules": ["a", "["]}), "block_rules.1: is no regular expression"),
            (json!({"block_rules": ["a", "b", "a"]}), "block_rules.2: stands twice"),
            (json!({"block_rules": ["a"], "rejected_msg": ""}), "rejected_msg: is empty"),
            (json!({"block_rules": ["a"], "rejected_code": 100}), "rejected_code: 100"),
            (json!({"block_rules": ["a"], "message": "x"}), "unknown field `message`"),
        ] {
            let error = build_error(UriBlockerPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
