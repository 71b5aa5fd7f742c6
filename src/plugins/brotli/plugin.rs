//! The registry's entry.
use brotli::enc::backward_references::BrotliEncoderMode;

use super::config::BrotliConfig;
use super::encoder::{Brotli, SLOW};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::compress::{Compress, CompressLayer, Memory, Written, untold};

/// The window that the encoder chooses by itself.
const CHOSEN_WINDOW: u32 = 22;

/// Registry entry of `brotli`.
#[derive(Clone, Debug, Default)]
pub struct BrotliPlugin {
    memory: Memory,
}

impl BrotliPlugin {
    /// With the encoders of all blocks in that memory.
    pub fn within(memory: Memory) -> Self {
        Self { memory }
    }
}

impl Compress {
    /// Compresses by brotli.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn brotli(config: BrotliConfig) -> Result<Self, ConfigError> {
        let BrotliConfig { types, min_length, mode, comp_level, lgwin, lgblock, http_version, vary } = config;
        let invalid = |field: &str, reason: &str| ConfigError::invalid(BrotliPlugin::NAME, field, reason);
        let mode = match mode {
            0 => BrotliEncoderMode::BROTLI_MODE_GENERIC,
            1 => BrotliEncoderMode::BROTLI_MODE_TEXT,
            2 => BrotliEncoderMode::BROTLI_MODE_FONT,
            _ => return Err(invalid("mode", "is 0, 1 or 2")),
        };
        let within = |field: &str, value: u32, least: u32, most: u32, reason: &str| {
            Some(value).filter(|value| (least..=most).contains(value)).ok_or_else(|| invalid(field, reason))
        };
        let signed = |value: u32| i32::try_from(value).unwrap_or_default();
        let level = signed(within("comp_level", comp_level, 0, 11, "is 0 to 11")?);
        let window_log = match lgwin {
            0 => CHOSEN_WINDOW,
            lgwin => within("lgwin", lgwin, 10, 24, "is 0, or 10 to 24")?,
        };
        let block_log = match lgblock {
            0 => None,
            lgblock => Some(signed(within("lgblock", lgblock, 16, 24, "is 0, or 16 to 24")?)),
        };
        let coding = Brotli { level, mode, window_log, block_log };
        Self::new(BrotliPlugin::NAME, coding, Written { types, min_length, http_version, vary })
    }
}

impl Plugin for BrotliPlugin {
    const NAME: &'static str = "brotli";
    const STAGE: Stage = Stage::Respond;
    const PRIORITY: i32 = 996;
    type Config = BrotliConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<BrotliConfig>()
    }

    fn build(&self, config: BrotliConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(CompressLayer::of(Compress::brotli(config)?.within(self.memory.clone())).into())
    }

    fn caveats(&self, config: &BrotliConfig) -> Vec<Caveat> {
        let is_slow = config.comp_level >= SLOW.unsigned_abs();
        let slow = is_slow.then(|| {
            let message = "is slow: each answer takes tens of times as long as with 6, and as much of a processor";
            Caveat::new("comp_level", message, "write 9 or less")
        });
        let large = ((10..=16).contains(&config.lgwin) && config.comp_level >= 5 && !is_slow).then(|| {
            let message = "takes about 34 MiB for each answer: the encoder searches in another way";
            Caveat::new("lgwin", message, "write 17 or more, or a `comp_level` of 4 or less")
        });
        slow.into_iter().chain(large).chain(untold(config.vary)).collect()
    }
}
