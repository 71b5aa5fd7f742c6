//! The registry's entry.
use super::config::{DataMaskConfig, MaskRule, MaskType};
use super::mask::{DataMask, DataMaskLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};

/// Registry entry of `data-mask`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DataMaskPlugin;

impl Plugin for DataMaskPlugin {
    const NAME: &'static str = "data-mask";
    const STAGE: Stage = Stage::Observe;
    const PRIORITY: i32 = 1500;
    type Config = DataMaskConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<DataMaskConfig>()
    }

    fn build(&self, config: DataMaskConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(DataMaskLayer::of(DataMask::new(config)?).into())
    }

    fn caveats(&self, config: &DataMaskConfig) -> Vec<Caveat> {
        let bodies = config.request.iter().enumerate().filter(|(_, rule)| rule.kind == MaskType::Body);
        let message = "has no effect: no log shows bodies";
        let mut caveats: Vec<_> =
            bodies.map(|(at, _)| Caveat::new(format!("request.{at}"), message, "leave it out")).collect();
        let query = config.request.iter().position(|rule| rule.kind == MaskType::Query);
        let hides_referer =
            |rule: &MaskRule| rule.kind == MaskType::Header && rule.name.eq_ignore_ascii_case("referer");
        if let Some(at) = query.filter(|_| !config.request.iter().any(hides_referer)) {
            let message = "does not hide the argument in `Referer`, where pages that link further on put it";
            let mend = "add a rule of type `header` for `referer`";
            caveats.push(Caveat::new(format!("request.{at}"), message, mend));
        }
        caveats
    }
}

#[cfg(test)]
mod unit {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::configured;

    #[test]
    fn rules_that_hide_less_than_they_seem_to_are_warned_of() {
        let doubts = |rules: serde_json::Value| {
            let caveats = DataMaskPlugin.caveats(&configured(json!({"request": rules})));
            caveats.into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
        };
        let body = json!({"type": "body", "name": "$.a", "action": "remove", "body_format": "json"});
        let query = json!({"type": "query", "name": "a", "action": "remove"});
        let referer = json!({"type": "header", "name": "Referer", "action": "remove"});
        assert_eq!(doubts(json!([referer, body, query])), ["request.1"]);
        assert_eq!(doubts(json!([referer, query])), [""; 0]);
        assert_eq!(doubts(json!([query])), ["request.0"]);
    }
}
