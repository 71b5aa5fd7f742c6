//! The registry's entry.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::config::{BodyTransformerConfig, Transformation};
use super::transformer::{BodyTransformer, BodyTransformerLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};

pub(super) const NAME: &str = "body-transformer";

/// Registry entry of `body-transformer`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyTransformerPlugin;

impl Plugin for BodyTransformerPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Rewrite;
    const PRIORITY: i32 = 1080;
    type Config = BodyTransformerConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<BodyTransformerConfig>()
    }

    fn build(&self, config: BodyTransformerConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let bodies = cx.bodies();
        let sizes = [
            ("max_req_body_size", config.request.is_some(), config.max_req_body_size),
            ("max_resp_body_size", config.response.is_some(), config.max_resp_body_size),
        ];
        let plugin = BodyTransformer::within(config, bodies.clone())?;
        for (field, _, most) in sizes.into_iter().filter(|(_, counts, _)| *counts) {
            bodies.doubt_size(cx, field, most);
        }
        Ok(BodyTransformerLayer::of(plugin).into())
    }

    fn caveats(&self, config: &BodyTransformerConfig) -> Vec<Caveat> {
        let halves = [("request", &config.request), ("response", &config.response)];
        let packed = halves.into_iter().filter(|(_, half)| half.as_ref().is_some_and(looks_packed));
        let message = "looks like base64, and is sent as it is";
        packed.map(|(field, _)| Caveat::new(field, message, "write `template_is_base64: true` beside it")).collect()
    }
}

/// Whether a template is base64 of a text, which is not said of it: others unpack it unasked.
fn looks_packed(half: &Transformation) -> bool {
    let is_text = |text: &str| text.contains('{') && !text.contains(|sign: char| sign.is_control() && sign != '\n');
    !half.template_is_base64
        && half.template.len() >= 8
        && STANDARD.decode(&half.template).is_ok_and(|bytes| std::str::from_utf8(&bytes).is_ok_and(is_text))
}

#[cfg(test)]
mod unit {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::configured;

    #[test]
    fn a_template_that_looks_like_base64_is_warned_of() {
        let doubts = |block: serde_json::Value| {
            let caveats = BodyTransformerPlugin.caveats(&configured(block));
            caveats.into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
        };
        assert_eq!(
            doubts(json!({"request": {"template": "eyJhIjoie3thfX0ifQ==", "input_format": "json"}})),
            ["request"]
        );
        assert_eq!(doubts(json!({"response": {"template": "eyJhIjoie3thfX0ifQ=="}})), ["response"]);
        for half in [
            json!({"template": "eyJhIjoie3thfX0ifQ==", "template_is_base64": true}),
            json!({"template": "template"}),
            json!({"template": "{{ a }}"}),
        ] {
            assert_eq!(doubts(json!({"request": half})), [""; 0], "{half}");
        }
    }
}
