//! The registry's entry.
use std::sync::Arc;

use serde_json::json;

use super::config::{ProxyMirrorAttr, ProxyMirrorConfig};
use super::host::MirrorHost;
use super::mirror::{Mirror, MirrorLayer};
use super::outcome::Outcomes;
use crate::PluginLayer;
use crate::model::UpstreamSpec;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Stage, UpstreamChoice};

pub(super) const NAME: &str = "proxy-mirror";

/// Registry entry of `proxy-mirror`. A clone has the same counts.
#[derive(Clone, Debug, Default)]
pub struct ProxyMirrorPlugin(Arc<Outcomes>);

impl ProxyMirrorPlugin {
    /// What became of the copies of all blocks.
    pub fn outcomes(&self) -> &Outcomes {
        &self.0
    }
}

impl Plugin for ProxyMirrorPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Forward;
    const PRIORITY: i32 = 1010;
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
        let upstream = UpstreamChoice(cx.upstream(NAME, "host", &spec)?);
        let mirror = Mirror::to_upstream(upstream, config.into(), timeout.read.0, Arc::clone(&self.0))?;
        Ok(MirrorLayer::of(mirror).into())
    }
}
