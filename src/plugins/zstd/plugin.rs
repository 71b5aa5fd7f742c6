//! The registry's entry.
use super::config::ZstdConfig;
use super::encoder::Zstd;
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::compress::{Compress, CompressLayer, Memory, Written, untold};

/// Registry entry of `zstd`.
#[derive(Clone, Debug, Default)]
pub struct ZstdPlugin {
    memory: Memory,
}

impl ZstdPlugin {
    /// With the encoders of all blocks in that memory.
    pub fn within(memory: Memory) -> Self {
        Self { memory }
    }
}

impl Compress {
    /// Compresses by Zstandard.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn zstd(config: ZstdConfig) -> Result<Self, ConfigError> {
        let ZstdConfig { types, min_length, comp_level, window_log, http_version, vary } = config;
        let invalid = |field: &str, reason: &str| ConfigError::invalid(ZstdPlugin::NAME, field, reason);
        let level = i32::try_from(comp_level).ok().filter(|level| (1..=19).contains(level));
        let level = level.ok_or_else(|| invalid("comp_level", "is 1 to 19"))?;
        if !(10..=23).contains(&window_log) {
            return Err(invalid("window_log", "is 10 to 23: clients need not bear more (RFC 9659)"));
        }
        Self::new(ZstdPlugin::NAME, Zstd { level, window_log }, Written { types, min_length, http_version, vary })
    }
}

impl Plugin for ZstdPlugin {
    const NAME: &'static str = "zstd";
    const STAGE: Stage = Stage::Respond;
    const PRIORITY: i32 = 997;
    type Config = ZstdConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ZstdConfig>()
    }

    fn build(&self, config: ZstdConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(CompressLayer::of(Compress::zstd(config)?.within(self.memory.clone())).into())
    }

    fn caveats(&self, config: &ZstdConfig) -> Vec<Caveat> {
        untold(config.vary).into_iter().collect()
    }
}
