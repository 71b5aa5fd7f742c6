//! `referer-restriction`: lets requests pass, or turns them away, by the site that they come from. Stage: access.
//!
//! Decision: 1. the host is taken out of `Referer`; without the field, or where no host can be read in it, only
//! `bypass_missing` lets pass; 2. with `whitelist` the host must be on the list, with `blacklist` it may not. Where the
//! field stands on several lines, each of them must pass.
//!
//! Answer: 403 with `{"message":"<message>"}`. Reads `Referer`, writes nothing.
//!
//! Browsers send the field, and leave it out where a page or its user asks them to; anybody else sends what he likes. It
//! keeps pages of other sites from embedding what is yours, and is no access control.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header::REFERER};
//! use tollgate::plugins::referer_restriction::{RefererRestriction, RefererRestrictionConfig, RefererRestrictionLayer};
//!
//! let mut config = RefererRestrictionConfig::default();
//! config.whitelist = Some(vec!["example.org".to_owned(), "*.example.org".to_owned()]);
//! let restriction = RefererRestriction::new(config)?;
//! let mut headers = HeaderMap::new();
//! headers.insert(REFERER, HeaderValue::from_static("https://www.example.org/page"));
//! assert!(restriction.allows(&headers));
//! let layer = RefererRestrictionLayer::of(restriction);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"referer-restriction": {"whitelist": ["example.org", "*.example.org"], "bypass_missing": true}}
//! ```
use std::borrow::Cow;
use std::collections::HashSet;

use http::header::REFERER;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::checks::{Listed, length, one_list};
use crate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::{PluginLayer, Response, reject};

/// Options of `referer-restriction`. Exactly one of `whitelist` and `blacklist` is to be set.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RefererRestrictionConfig {
    /// Hosts that alone may pass; at least one. `*.example.org` stands for all hosts that end so, and not for `example.org`
    /// itself. Case and a dot at the end do not count, ports are not looked at. Not set by default.
    pub whitelist: Option<Vec<String>>,
    /// Hosts that may not pass, written as those of `whitelist`. Not set by default.
    pub blacklist: Option<Vec<String>>,
    /// Let requests pass that have no `Referer`, or one in which no host can be read. Default `false`.
    pub bypass_missing: bool,
    /// Text for those who may not pass, 1 to 1024 characters. Default `Your referer host is not allowed`.
    pub message: String,
}

impl Default for RefererRestrictionConfig {
    fn default() -> Self {
        Self {
            whitelist: None,
            blacklist: None,
            bypass_missing: false,
            message: "Your referer host is not allowed".to_owned(),
        }
    }
}

/// The decision of `referer-restriction`.
#[derive(Clone, Debug)]
pub struct RefererRestriction {
    listed: Listed,
    hosts: Hosts,
    bypass_missing: bool,
    message: String,
}

impl RefererRestriction {
    /// Compiles a block.
    ///
    /// # Errors
    /// What is no host, a list too many or missing, an empty message.
    pub fn new(config: RefererRestrictionConfig) -> Result<Self, ConfigError> {
        const NAME: &str = RefererRestrictionPlugin::NAME;
        let (listed, field, list) = one_list(NAME, ("whitelist", config.whitelist), ("blacklist", config.blacklist))?;
        let hosts = Hosts::parse(field, &list)?;
        length(NAME, "message", &config.message, 1024)?;
        Ok(Self { listed, hosts, bypass_missing: config.bypass_missing, message: config.message })
    }

    /// Whether a request with these fields may pass.
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(REFERER).iter().peekable();
        if lines.peek().is_none() {
            return self.bypass_missing;
        }
        lines.all(|line| match line.to_str().ok().and_then(host) {
            Some(host) => self.listed.lets_pass(self.hosts.contain(&canonical(host))),
            None => self.bypass_missing,
        })
    }
}

/// Hosts by name, and by what they end with.
#[derive(Clone, Debug, Default)]
struct Hosts {
    names: HashSet<String>,
    ends: Vec<String>,
}

impl Hosts {
    fn parse(field: &str, texts: &[String]) -> Result<Self, ConfigError> {
        let mut hosts = Self::default();
        for (index, text) in texts.iter().enumerate() {
            let text = canonical(text);
            let end = text.strip_prefix('*');
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
            let name = end.unwrap_or(&text);
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(ConfigError::invalid(
                    RefererRestrictionPlugin::NAME,
                    format!("{field}.{index}"),
                    "is no host: write one such as example.org or *.example.org",
                ));
            }
            match end {
                Some(end) => hosts.ends.push(end.to_owned()),
                None => _ = hosts.names.insert(text.into_owned()),
            }
        }
        Ok(hosts)
    }

    fn contain(&self, host: &str) -> bool {
        self.names.contains(host) || self.ends.iter().any(|end| host.ends_with(end.as_str()))
    }
}

/// In lower case and without the dot of a name that is written in full: `Evil.test.` is `evil.test`.
fn canonical(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}

/// The host in an absolute URI (RFC 3986 §3.2), an IPv6 address with its brackets.
fn host(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let behind_user = authority.rsplit_once('@').map_or(authority, |(_, behind)| behind);
    let host = match behind_user.strip_prefix('[') {
        Some(address) => {
            let end = address.find(']')?;
            behind_user.get(..end + 2)?
        }
        None => behind_user.split(':').next()?,
    };
    (is_scheme && !scheme.is_empty() && !host.is_empty()).then_some(host)
}

impl Gate for RefererRestriction {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        match self.allows(request.headers()) {
            true => Ok(()),
            false => Err(reject(StatusCode::FORBIDDEN, RefererRestrictionPlugin::NAME, &self.message)),
        }
    }
}

/// Puts [`RefererRestriction`] before a service.
pub type RefererRestrictionLayer = GateLayer<RefererRestriction>;

/// Registry entry: builds [`RefererRestrictionLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefererRestrictionPlugin;

impl Plugin for RefererRestrictionPlugin {
    const NAME: &'static str = "referer-restriction";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2990;
    type Config = RefererRestrictionConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<RefererRestrictionConfig>()
    }

    fn build(&self, config: RefererRestrictionConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        RefererRestriction::new(config).map(|restriction| RefererRestrictionLayer::of(restriction).into())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{ask, build_error, built, configured};
    use super::*;

    fn restriction(block: serde_json::Value) -> RefererRestriction {
        RefererRestriction::new(configured(block)).unwrap()
    }

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (REFERER, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn lists_decide_by_the_host() {
        let white = restriction(json!({"whitelist": ["Example.org", "*.example.org", "[::1]"]}));
        let black = restriction(json!({"blacklist": ["example.org", "*.example.org", "[::1]"]}));
        for (referer, listed) in [
            ("http://example.org", true),
            ("https://EXAMPLE.org:8443/a?b#c", true),
            ("https://example.org./", true),
            ("https://a.example.org.:443/", true),
            ("https://a.b.example.org/", true),
            ("https://user@example.org/", true),
            ("http://[::1]:80/", true),
            ("https://example.org@evil.test/", false),
            ("https://evil.test/https://example.org/", false),
            ("https://evil.test\\.example.org/", false),
            ("https://evil.test?.example.org", false),
            ("https://evil.test#.example.org", false),
            ("https://badexample.org/", false),
            ("https://example.org.evil.test/", false),
        ] {
            let headers = headers(&[referer.as_bytes()]);
            assert_eq!((white.allows(&headers), black.allows(&headers)), (listed, !listed), "{referer}");
        }
        assert!(!restriction(json!({"whitelist": ["*.example.org"]})).allows(&headers(&[b"http://example.org/"])));
    }

    #[test]
    fn without_a_host_the_bypass_decides() {
        let unread: [&[&[u8]]; 8] = [
            &[],
            &[b""],
            &[b"example.org"],
            &[b"/a"],
            &[b"http://"],
            &[b"http://:80/"],
            &[b"http://\xff/"],
            &[b"://example.org/"],
        ];
        for lines in unread {
            for list in ["whitelist", "blacklist"] {
                for bypass in [false, true] {
                    let restriction = restriction(json!({list: ["example.org"], "bypass_missing": bypass}));
                    assert_eq!(restriction.allows(&headers(lines)), bypass, "{lines:?} {list}");
                }
            }
        }
    }

    #[test]
    fn every_line_must_pass() {
        let lines: &[&[u8]] = &[b"http://example.org/", b"http://evil.test/"];
        assert!(!restriction(json!({"whitelist": ["example.org"]})).allows(&headers(lines)));
        assert!(!restriction(json!({"blacklist": ["evil.test"]})).allows(&headers(lines)));
    }

    proptest! {
        #[test]
        fn hosts_are_those_that_a_parser_of_uris_finds(
            uri in "[a-z]{1,5}://([a-z0-9:]{0,5}@)?([a-z0-9.-]{1,12}|\\[[0-9a-f:]{2,9}\\])(:[0-9]{1,4})?(/[a-z:@/]{0,9})?(\\?[a-z:@/?]{0,9})?",
        ) {
            if let Ok(parsed) = uri.parse::<http::Uri>() {
                prop_assert_eq!(host(&uri), parsed.host(), "{}", uri);
            }
        }

        #[test]
        fn no_text_makes_it_stumble(text in ".{0,60}", scheme in "([a-z]{1,3}:)?/{0,3}") {
            let uri = scheme + &*text;
            if let Some(host) = host(&uri) {
                prop_assert!(uri.contains(host) && !host.contains(['/', '?', '#', '@', '\\']), "{}", uri);
            }
        }
    }

    #[tokio::test]
    async fn the_answer_is_403_with_the_message() {
        let request =
            |referer: &str| http::Request::builder().header(REFERER, referer).body(crate::Body::empty()).unwrap();
        let layer = built(RefererRestrictionPlugin, &json!({"whitelist": ["a.test"]}));
        let answer = ask(&layer, request("http://b.test/")).await;
        assert_eq!((answer.status(), answer.body()), (403, "{\"message\":\"Your referer host is not allowed\"}\n"));
        assert_eq!(ask(&layer, request("http://a.test/")).await.status(), 200);
    }

    #[test]
    fn faulty_blocks_are_refused() {
        for (block, says) in [
            (json!({}), "exactly one of `whitelist` and `blacklist`"),
            (json!({"whitelist": ["a.test"], "blacklist": ["a.test"]}), "exactly one of"),
            (json!({"whitelist": []}), "whitelist: is empty"),
            (json!({"whitelist": ["a.test", "http://a.test"]}), "whitelist.1: is no host"),
            (json!({"whitelist": ["*"]}), "whitelist.0: is no host"),
            (json!({"whitelist": ["a.*"]}), "whitelist.0: is no host"),
            (json!({"whitelist": ["a.test"], "message": ""}), "message: is empty"),
            (json!({"allowlist": ["a.test"]}), "unknown field `allowlist`"),
        ] {
            let error = build_error(RefererRestrictionPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
