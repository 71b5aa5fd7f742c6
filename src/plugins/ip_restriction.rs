//! `ip-restriction`: lets requests pass, or turns them away, by the client's address. Stage: access, or edge with `early`.
//!
//! Decision: 1. the address is that which [`client_addr`] tells: the peer, or what trusted proxies and `real-ip` said;
//! 2. with `whitelist` it must be in one of the networks, with `blacklist` in none; 3. a client without a known address is
//! turned away by either.
//!
//! Answer: `response_code`, 403 unless set, with `{"message":"<message>"}`. Nothing is read but the address, and nothing
//! is written.
//!
//! Behind another proxy every client has that proxy's address until the gateway is told to trust it (`trusted_proxies`) or
//! a `real-ip` block stands further out. In the stage of access the caller has been authenticated before, so that a
//! refused address costs an authentication, and a caller without credentials is told 401 and not 403; `early` asks first.
//! A consumer's block replaces the route's, but for an early one of the route, which has judged before: then both count, or
//! if both are early the route's alone.
//!
//! ```
//! use tollgate::plugins::ip_restriction::{IpRestriction, IpRestrictionConfig, IpRestrictionLayer};
//!
//! let mut config = IpRestrictionConfig::default();
//! config.whitelist = Some(vec!["10.0.0.0/8".to_owned(), "2001:db8::/32".to_owned()]);
//! let restriction = IpRestriction::new(config)?;
//! assert!(restriction.allows("10.1.2.3".parse().ok()) && !restriction.allows("192.0.2.1".parse().ok()));
//! let layer = IpRestrictionLayer::of(restriction);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"ip-restriction": {"blacklist": ["198.51.100.0/24"], "message": "blocked network", "early": true}}
//! ```
use std::net::IpAddr;

use http::StatusCode;
use serde::Deserialize;

use super::checks::{Listed, final_status, length, one_list};
use super::networks::Networks;
use crate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::request::client_addr;
use crate::{PluginLayer, Response, reject};

/// Options of `ip-restriction`. Exactly one of `whitelist` and `blacklist` is to be set.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IpRestrictionConfig {
    /// Addresses (`192.0.2.1`, `2001:db8::1`) and networks (`10.0.0.0/8`) that alone may pass; at least one. They are
    /// searched by halves: ten thousand cost 14 steps. Not set by default.
    pub whitelist: Option<Vec<String>>,
    /// Addresses and networks that may not pass; at least one. Not set by default.
    pub blacklist: Option<Vec<String>>,
    /// Text for those who may not pass, 1 to 1024 characters. Default `Your IP address is not allowed`.
    pub message: String,
    /// Status for those who may not pass: 403 or 404. Default 403.
    pub response_code: u16,
    /// Ask before the caller is authenticated (stage edge) and not after (stage access). Default `false`.
    pub early: bool,
}

impl Default for IpRestrictionConfig {
    fn default() -> Self {
        Self {
            whitelist: None,
            blacklist: None,
            message: "Your IP address is not allowed".to_owned(),
            response_code: 403,
            early: false,
        }
    }
}

/// The decision of `ip-restriction`.
#[derive(Clone, Debug)]
pub struct IpRestriction {
    listed: Listed,
    networks: Networks,
    message: String,
    status: StatusCode,
}

impl IpRestriction {
    /// Compiles a block.
    ///
    /// # Errors
    /// What is no address, a list too many or missing, an empty message, another status than 403 and 404.
    pub fn new(config: IpRestrictionConfig) -> Result<Self, ConfigError> {
        const NAME: &str = IpRestrictionPlugin::NAME;
        let (listed, field, list) = one_list(NAME, ("whitelist", config.whitelist), ("blacklist", config.blacklist))?;
        let networks = Networks::parse(NAME, field, &list)?;
        length(NAME, "message", &config.message, 1024)?;
        let status = final_status(NAME, "response_code", config.response_code)?;
        if !matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
            return Err(ConfigError::invalid(NAME, "response_code", "is to be 403 or 404"));
        }
        Ok(Self { listed, networks, message: config.message, status })
    }

    /// Whether a client of that address may pass; none that has no known address may.
    pub fn allows(&self, client: Option<IpAddr>) -> bool {
        client.is_some_and(|client| self.listed.lets_pass(self.networks.contains(client)))
    }
}

impl Gate for IpRestriction {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        match self.allows(client_addr(request)) {
            true => Ok(()),
            false => Err(reject(self.status, IpRestrictionPlugin::NAME, &self.message)),
        }
    }
}

/// Puts [`IpRestriction`] before a service.
pub type IpRestrictionLayer = GateLayer<IpRestriction>;

/// Registry entry: builds [`IpRestrictionLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct IpRestrictionPlugin;

impl Plugin for IpRestrictionPlugin {
    const NAME: &'static str = "ip-restriction";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 3000;
    type Config = IpRestrictionConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<IpRestrictionConfig>()
    }

    fn build(&self, config: IpRestrictionConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        IpRestriction::new(config).map(|restriction| IpRestrictionLayer::of(restriction).into())
    }

    fn stage(&self, config: &IpRestrictionConfig) -> Stage {
        if config.early { Stage::Edge } else { Self::STAGE }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{ask, build_error, built, configured};
    use super::*;
    use crate::request::set_client_addr;

    fn restriction(block: serde_json::Value) -> IpRestriction {
        IpRestriction::new(configured(block)).unwrap()
    }

    #[test]
    fn lists_decide_by_the_address() {
        let white = restriction(json!({"whitelist": ["127.0.0.1", "10.0.0.0/8"]}));
        let black = restriction(json!({"blacklist": ["10.0.0.0/8", "2001:db8::/32"]}));
        for (client, white_allows, black_allows) in [
            (Some("127.0.0.1"), true, true),
            (Some("10.2.3.4"), true, false),
            (Some("::ffff:10.2.3.4"), true, false),
            (Some("192.0.2.1"), false, true),
            (Some("2001:db8::5"), false, false),
            (None, false, false),
        ] {
            let address = client.map(|client| client.parse().unwrap());
            assert_eq!((white.allows(address), black.allows(address)), (white_allows, black_allows), "{client:?}");
        }
    }

    #[tokio::test]
    async fn the_answer_is_the_blocks() {
        for (block, status, body) in [
            (json!({"blacklist": ["10.0.0.0/8"]}), 403, "{\"message\":\"Your IP address is not allowed\"}\n"),
            (
                json!({"blacklist": ["10.0.0.1"], "message": "no \"entry\"", "response_code": 404}),
                404,
                "{\"message\":\"no \\\"entry\\\"\"}\n",
            ),
            (json!({"blacklist": ["11.0.0.0/8"]}), 200, ""),
        ] {
            let mut request = http::Request::default();
            set_client_addr(&mut request, "10.0.0.1".parse().unwrap(), None);
            let answer = ask(&built(IpRestrictionPlugin, &block), request).await;
            assert_eq!((answer.status(), answer.body()), (status, body), "{block}");
        }
    }

    #[test]
    fn early_blocks_stand_at_the_edge() {
        let stage = |block| IpRestrictionPlugin.stage(&configured(block));
        assert_eq!(stage(json!({"early": true})), Stage::Edge);
        assert_eq!(stage(json!({})), Stage::Access);
    }

    #[test]
    fn faulty_blocks_are_refused() {
        for (block, says) in [
            (json!({}), "exactly one of `whitelist` and `blacklist`"),
            (json!({"whitelist": ["::1"], "blacklist": ["::1"]}), "exactly one of"),
            (json!({"whitelist": []}), "whitelist: is empty"),
            (json!({"blacklist": ["::1", "10.0.0.300"]}), "blacklist.1: invalid ip address: 10.0.0.300"),
            (json!({"blacklist": ["::1"], "message": ""}), "message: is empty"),
            (json!({"blacklist": ["::1"], "message": "x".repeat(1025)}), "message: has more than 1024"),
            (json!({"blacklist": ["::1"], "response_code": 401}), "response_code: is to be 403 or 404"),
            (json!({"blacklist": ["::1"], "status": 403}), "unknown field `status`"),
            (json!({"blacklist": "::1"}), "blacklist: invalid type"),
        ] {
            let error = build_error(IpRestrictionPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
