//! The registry's entry.
use brotli::enc::BrotliEncoderParams;
use brotli::enc::backward_references::BrotliEncoderMode;

use super::config::BrotliConfig;
use super::encoder::Brotli;
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::compress::{Compress, CompressLayer, Written, untold};

/// The window that the encoder chooses by itself.
const CHOSEN_WINDOW: i32 = 22;

/// From this level on an answer takes tens of times as long.
const SLOW: u32 = 10;

/// Registry entry of `brotli`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BrotliPlugin;

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
            let value = i32::try_from(value).ok().filter(|_| (least..=most).contains(&value));
            value.ok_or_else(|| invalid(field, reason))
        };
        let quality = within("comp_level", comp_level, 0, 11, "is 0 to 11")?;
        let lgwin = match lgwin {
            0 => CHOSEN_WINDOW,
            lgwin => within("lgwin", lgwin, 10, 24, "is 0, or 10 to 24")?,
        };
        let lgblock = match lgblock {
            0 => 0,
            lgblock => within("lgblock", lgblock, 16, 24, "is 0, or 16 to 24")?,
        };
        let params = BrotliEncoderParams { mode, quality, lgwin, lgblock, ..BrotliEncoderParams::default() };
        Self::new(BrotliPlugin::NAME, Brotli(params), Written { types, min_length, http_version, vary })
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
        Ok(CompressLayer::of(Compress::brotli(config)?).into())
    }

    fn caveats(&self, config: &BrotliConfig) -> Vec<Caveat> {
        let slow = (config.comp_level >= SLOW).then(|| {
            let message =
                "is slow: each answer takes tens of times as long as with 6, on a thread that serves others as well";
            Caveat::new("comp_level", message, "write 9 or less")
        });
        let large = ((10..=16).contains(&config.lgwin) && (5..SLOW).contains(&config.comp_level)).then(|| {
            let message = "takes about 34 MiB for each answer: the encoder searches in another way";
            Caveat::new("lgwin", message, "write 17 or more, or a `comp_level` of 4 or less")
        });
        slow.into_iter().chain(large).chain(untold(config.vary)).collect()
    }
}
