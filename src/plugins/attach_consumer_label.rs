//! `attach-consumer-label`: tells the upstream what labels the consumer has. Stage: forward.
//!
//! Each field of `headers` is set to the consumer's label; where he has no such label, or nobody was identified, it is
//! removed. A client's copies of these fields never pass, on any route of the gateway, nor as trailers.
//!
//! ```
//! use tollgate::plugins::attach_consumer_label::{
//!     AttachConsumerLabel, AttachConsumerLabelConfig, AttachConsumerLabelLayer,
//! };
//!
//! let mut config = AttachConsumerLabelConfig::default();
//! config.headers.insert("X-Department".to_owned(), "$department".to_owned());
//! let layer = AttachConsumerLabelLayer::of(AttachConsumerLabel::new(&config)?); // behind a layer that identifies consumers
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"attach-consumer-label": {"headers": {"X-Department": "$department"}}, "key-auth": {}}
//! {"key-auth": {"key": "key-of-jack"}}
//! ```
use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::checks::own_field;
use crate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::request::Consumer;
use crate::{PluginLayer, Response};

/// Options of `attach-consumer-label`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AttachConsumerLabelConfig {
    /// Names of fields, and the labels that they tell: `$department` is the label `department`. At least one. Required.
    pub headers: BTreeMap<String, String>,
}

/// One block of `attach-consumer-label`, compiled.
#[derive(Clone, Debug)]
pub struct AttachConsumerLabel {
    labels: Vec<(HeaderName, String)>,
}

/// Applies [`AttachConsumerLabel`].
pub type AttachConsumerLabelLayer = GateLayer<AttachConsumerLabel>;

impl AttachConsumerLabel {
    /// Compiles the options.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: &AttachConsumerLabelConfig) -> Result<Self, ConfigError> {
        const NAME: &str = AttachConsumerLabelPlugin::NAME;
        if config.headers.is_empty() {
            return Err(ConfigError::invalid(NAME, "headers", "is empty; name at least one field and its label"));
        }
        let label = |(name, text): (&String, &String)| {
            let field = format!("headers.{name}");
            let label = text.strip_prefix('$').filter(|label| !label.is_empty());
            let label =
                label.ok_or_else(|| ConfigError::invalid(NAME, &*field, "is no label: write one such as `$team`"))?;
            Ok((own_field(NAME, &field, name)?, label.to_owned()))
        };
        Ok(Self { labels: config.headers.iter().map(label).collect::<Result<_, _>>()? })
    }
}

impl Gate for AttachConsumerLabel {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        let consumer = Consumer::of(request).cloned();
        let headers = request.headers_mut();
        for (name, label) in &self.labels {
            let text = consumer.as_ref().and_then(|consumer| consumer.labels().get(label));
            match text.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok()) {
                Some(value) => drop(headers.insert(name, value)),
                None => drop(headers.remove(name)),
            }
        }
        Ok(())
    }
}

/// Registry entry of `attach-consumer-label`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttachConsumerLabelPlugin;

impl Plugin for AttachConsumerLabelPlugin {
    const NAME: &'static str = "attach-consumer-label";
    const STAGE: Stage = Stage::Forward;
    const PRIORITY: i32 = 2399;
    type Config = AttachConsumerLabelConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<AttachConsumerLabelConfig>()
    }

    fn identity_fields(&self, config: &AttachConsumerLabelConfig) -> Vec<HeaderName> {
        config.headers.keys().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
    }

    fn build(&self, config: AttachConsumerLabelConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(AttachConsumerLabelLayer::of(AttachConsumerLabel::new(&config)?).into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ConsumerSpec;
    use crate::plugins::testing::{build_error, configured};

    #[test]
    fn labels_replace_what_the_client_sent() {
        let block = json!({"headers": {"X-Team": "$team", "X-None": "$none", "X-Odd": "$odd"}});
        let plugin = AttachConsumerLabel::new(&configured(block)).unwrap();
        let labels = [("team", "blue"), ("odd", "a\nb")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let spec = ConsumerSpec { username: "jack".into(), labels: labels.into(), ..ConsumerSpec::default() };
        for (consumer, team) in [(Some(Consumer::new(&spec)), Some("blue")), (None, None)] {
            let mut request = http::Request::new(());
            for name in ["x-team", "x-none", "x-odd"] {
                request.headers_mut().insert(name, HeaderValue::from_static("forged"));
                request.headers_mut().append(name, HeaderValue::from_static("twice"));
            }
            consumer.iter().for_each(|consumer| consumer.attach(&mut request));
            plugin.check(&mut request).unwrap();
            let values: Vec<_> = request.headers().get_all("x-team").iter().collect();
            assert_eq!(values, team.into_iter().collect::<Vec<_>>());
            assert!(!request.headers().contains_key("x-none") && !request.headers().contains_key("x-odd"));
        }
    }

    #[test]
    fn faults_name_their_field() {
        for (block, says) in [
            (json!({}), "headers: is empty"),
            (json!({"headers": {"X-Team": "team"}}), "headers.X-Team: is no label"),
            (json!({"headers": {"X-Team": "$"}}), "headers.X-Team: is no label"),
            (json!({"headers": {"Host": "$team"}}), "headers.Host: "),
        ] {
            let error = build_error(AttachConsumerLabelPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
