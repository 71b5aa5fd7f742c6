//! The registry's entry.
use super::config::{Buffers, GzipConfig};
use super::encoder::Gzip;
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::compress::{Compress, CompressLayer, Memory, Written, untold};

/// Registry entry of `gzip`.
#[derive(Clone, Debug, Default)]
pub struct GzipPlugin {
    memory: Memory,
}

impl GzipPlugin {
    /// With the encoders of all blocks in that memory.
    pub fn within(memory: Memory) -> Self {
        Self { memory }
    }
}

impl Compress {
    /// Compresses by gzip.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn gzip(config: GzipConfig) -> Result<Self, ConfigError> {
        let GzipConfig { types, min_length, comp_level, http_version, buffers, vary } = config;
        let invalid = |field: &str, reason: &str| ConfigError::invalid(GzipPlugin::NAME, field, reason);
        let level = i32::try_from(comp_level).ok().filter(|level| (1..=9).contains(level));
        let level = level.ok_or_else(|| invalid("comp_level", "is 1 to 9"))?;
        if buffers.number == 0 || buffers.size == 0 {
            return Err(invalid("buffers", "has `number` and `size` of at least 1; leave it out"));
        }
        Self::new(GzipPlugin::NAME, Gzip(level), Written { types, min_length, http_version, vary })
    }
}

impl Plugin for GzipPlugin {
    const NAME: &'static str = "gzip";
    const STAGE: Stage = Stage::Respond;
    const PRIORITY: i32 = 995;
    type Config = GzipConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<GzipConfig>()
    }

    fn build(&self, config: GzipConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(CompressLayer::of(Compress::gzip(config)?.within(self.memory.clone())).into())
    }

    fn caveats(&self, config: &GzipConfig) -> Vec<Caveat> {
        let idle = (config.buffers != Buffers::default()).then(|| {
            Caveat::new("buffers", "has no effect: bodies stream through a buffer of fixed size", "leave it out")
        });
        idle.into_iter().chain(untold(config.vary)).collect()
    }
}
