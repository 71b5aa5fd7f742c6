//! The registry entry.
use serde_json::{Map, Value};

use super::config::{PrometheusAttr, PrometheusConfig, PrometheusMetadata};
use super::labels::Masks;
use super::metrics::Metrics;
use super::plan::masks;
use crate::PluginLayer;
use crate::plugin::{Api, BuildContext, ConfigError, Plugin, SchemaOf, Stage, shape};

/// Builds [`PrometheusLayer`](super::PrometheusLayer)s from configuration. A clone shares the metrics.
#[derive(Clone, Debug, Default)]
pub struct PrometheusPlugin {
    metrics: Metrics,
}

impl PrometheusPlugin {
    /// Counts into these metrics. Their attributes, if there are any yet, stand above those of a configuration.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Where it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Plugin for PrometheusPlugin {
    const NAME: &'static str = "prometheus";
    const STAGE: Stage = Stage::Observe;
    const PRIORITY: i32 = 500;
    const YIELDS_TO_ROUTE: bool = true;
    type Config = PrometheusConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<PrometheusConfig>().or_else(|| of.metadata::<PrometheusMetadata>())
    }

    fn build(&self, config: PrometheusConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        self.metrics.settle(cx.attr(Self::NAME)?.unwrap_or_default())?;
        let metadata: Option<PrometheusMetadata> = cx.metadata(Self::NAME)?;
        let masks = metadata.map_or(Ok(Masks::default()), |metadata| masks(&metadata))?;
        Ok(self.metrics.masked(&config, masks).into())
    }

    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        masks(&shape(Self::NAME, metadata)?).map(drop)
    }

    fn apis(&self, cx: &BuildContext<'_>) -> Result<Vec<Api>, ConfigError> {
        // Offering the text is no reason to keep metrics: the attributes are looked at and not put into force.
        let told: PrometheusAttr = cx.attr(Self::NAME)?.unwrap_or_default();
        let path = self.metrics.attr().map_or(told.export_uri, |attr| attr.export_uri.clone());
        Ok(vec![Api { path, service: self.metrics.service() }])
    }
}
