//! The registry's entry.
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;

use super::config::{ProxyMirrorAttr, ProxyMirrorConfig};
use super::host::MirrorHost;
use super::mirror::{Mirror, MirrorLayer, Surroundings, Target};
use super::outcome::Outcomes;
use crate::PluginLayer;
use crate::model::UpstreamSpec;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage, UpstreamChoice};

pub(super) const NAME: &str = "proxy-mirror";

/// Registry entry of `proxy-mirror`. A clone has the same counts.
#[derive(Clone, Debug, Default)]
pub struct ProxyMirrorPlugin {
    outcomes: Arc<Outcomes>,
    /// Copies end with the last clone: a block that another one replaces leaves them alone.
    lives: Arc<watch::Sender<()>>,
}

impl ProxyMirrorPlugin {
    /// What became of the copies of all blocks.
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }
}

impl Plugin for ProxyMirrorPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Forward;
    const PRIORITY: i32 = 1010;
    const SECRET_FIELDS: &'static [&'static str] = &["tls.client_key"];
    type Config = ProxyMirrorConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ProxyMirrorConfig>()
    }

    fn build(&self, config: ProxyMirrorConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let invalid = |reason: String| ConfigError::invalid(NAME, "host", reason);
        let host = MirrorHost::parse(&config.host).ok_or_else(|| {
            invalid(
                "is required: write `http://host:port`; https, grpc and grpcs will do as well, a path will not"
                    .to_owned(),
            )
        })?;
        let timeout = cx.attr::<ProxyMirrorAttr>(NAME)?.unwrap_or_default().timeout;
        let spec: Result<UpstreamSpec, _> = serde_json::from_value(json!({
            "scheme": host.scheme,
            "nodes": [{"host": host.name, "port": host.port, "weight": 1}],
            "retries": 0,
            "timeout": {
                "connect": timeout.connect.0.as_secs_f64(),
                "send": timeout.send.0.as_secs_f64(),
                "read": timeout.read.0.as_secs_f64(),
            },
        }));
        let spec = spec.map_err(|error| invalid(error.to_string()))?;
        let spec = UpstreamSpec { tls: config.tls.clone(), ..spec };
        let target = Target::Upstream(UpstreamChoice(cx.upstream(NAME, "host", &spec)?));
        let around = Surroundings {
            drain: timeout.read.0,
            bodies: cx.bodies(),
            outcomes: Arc::clone(&self.outcomes),
            lives: self.lives.subscribe(),
        };
        Ok(MirrorLayer::of(Mirror::new(target, config.into(), around)?).into())
    }

    fn caveats(&self, config: &ProxyMirrorConfig) -> Vec<Caveat> {
        let unverified = config.tls.as_ref().is_some_and(|tls| !tls.verify).then(|| {
            let message = "is `false`: copies, with passwords and tokens, go to whoever answers (security.md TLS-03)";
            Caveat::new("tls.verify", message, "write the certificates to verify against as `tls.ca`")
        });
        unverified.into_iter().collect()
    }
}
