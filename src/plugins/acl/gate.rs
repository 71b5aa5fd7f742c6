//! The decision.
use std::collections::BTreeMap;

use http::StatusCode;
use regex::RegexBuilder;
use serde_json::Value;

use super::config::{AclConfig, LabelParser};
use super::json_path::JsonPath;
use super::values::{Reader, has};
use crate::model::Labels;
use crate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::plugins::checks::{final_status, non_empty};
use crate::request::{Consumer, ExternalUser};
use crate::{PluginLayer, Response, reject};

const NAME: &str = AclPlugin::NAME;

type Wanted = BTreeMap<String, Vec<String>>;

/// The decision of `acl`.
#[derive(Clone, Debug)]
pub struct Acl {
    allow: Option<Wanted>,
    deny: Option<Wanted>,
    status: StatusCode,
    message: String,
    external: External,
}

/// Where the labels of an external user stand.
#[derive(Clone, Debug)]
struct External {
    path: JsonPath,
    label: String,
    reader: Reader,
}

impl Acl {
    /// Compiles a block.
    ///
    /// # Errors
    /// No labels at all, labels without values, a status below 200, what is no JSON path or regular expression.
    pub fn new(config: AclConfig) -> Result<Self, ConfigError> {
        if config.allow_labels.is_none() && config.deny_labels.is_none() {
            let reason = "at least one of `allow_labels` and `deny_labels` is to be set";
            return Err(ConfigError::invalid(NAME, "", reason));
        }
        for (field, labels) in [("allow_labels", &config.allow_labels), ("deny_labels", &config.deny_labels)] {
            let Some(labels) = labels else { continue };
            non_empty(NAME, field, &labels.keys().collect::<Vec<_>>())?;
            for (label, values) in labels {
                non_empty(NAME, &format!("{field}.{label}"), values)?;
            }
        }
        Ok(Self {
            status: final_status(NAME, "rejected_code", config.rejected_code)?,
            external: External::new(&config)?,
            allow: config.allow_labels,
            deny: config.deny_labels,
            message: config.rejected_msg.unwrap_or_else(|| "The consumer is forbidden.".to_owned()),
        })
    }

    /// Whether a consumer with these labels may pass.
    pub fn allows_labels(&self, labels: &Labels) -> bool {
        self.allows(|wanted| {
            wanted.iter().any(|(label, wanted)| labels.get(label).is_some_and(|text| has(text, wanted)))
        })
    }

    /// Whether an external user of whom this is told may pass.
    pub fn allows_user(&self, description: &Value) -> bool {
        let External { path, label, reader } = &self.external;
        // Values that cannot be read may be among those that are denied: closed, not open.
        let is_unreadable = self.deny.is_some() && path.any(description, &mut |value| !reader.reads(value));
        let allowed = self.allows(|wanted| {
            let wanted = wanted.get(label);
            wanted.is_some_and(|wanted| path.any(description, &mut |value| reader.has(value, wanted)))
        });
        allowed && !is_unreadable
    }

    fn allows(&self, has_one_of: impl Fn(&Wanted) -> bool) -> bool {
        !self.deny.as_ref().is_some_and(&has_one_of) && self.allow.as_ref().is_none_or(&has_one_of)
    }
}

impl External {
    fn new(config: &AclConfig) -> Result<Self, ConfigError> {
        let AclConfig {
            external_user_label_field: field,
            external_user_label_field_key: key,
            external_user_label_field_parser: parser,
            external_user_label_field_separator: separator,
            ..
        } = config;
        let path = JsonPath::parse(field).ok_or_else(|| {
            let reason = "is no JSON path of names, indices and `[*]`: write one such as groups or $.realm.roles[*]";
            ConfigError::invalid(NAME, "external_user_label_field", reason)
        })?;
        if key.as_ref().is_some_and(String::is_empty) {
            let reason = "is empty; leave it out to use the text of `external_user_label_field`";
            return Err(ConfigError::invalid(NAME, "external_user_label_field_key", reason));
        }
        let reader = match parser {
            None => Reader::Any,
            Some(LabelParser::Json) => Reader::Json,
            Some(LabelParser::Table) => Reader::Table,
            Some(LabelParser::SegmentedText) => {
                Reader::Segmented(separating(separator.as_deref().unwrap_or_default())?)
            }
        };
        Ok(Self { path, label: key.as_ref().unwrap_or(field).clone(), reader })
    }
}

/// The separator, with the blanks around it.
fn separating(separator: &str) -> Result<regex::Regex, ConfigError> {
    const FIELD: &str = "external_user_label_field_separator";
    if separator.is_empty() {
        return Err(ConfigError::invalid(NAME, FIELD, "is required with the parser segmented_text"));
    }
    let pattern = format!(r"\s*(?:{separator})\s*");
    RegexBuilder::new(&pattern).size_limit(1 << 20).build().map_err(|error| {
        let text = error.to_string();
        let text = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        ConfigError::invalid(NAME, FIELD, format!("is no regular expression: {text}"))
    })
}

impl Gate for Acl {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        let allowed = match (Consumer::of(request), ExternalUser::of(request)) {
            (Some(consumer), _) => self.allows_labels(consumer.labels()),
            (None, Some(user)) => self.allows_user(user.description()),
            (None, None) => return Err(reject(StatusCode::UNAUTHORIZED, NAME, "Missing authentication.")),
        };
        if allowed { Ok(()) } else { Err(reject(self.status, NAME, &self.message)) }
    }
}

/// Puts [`Acl`] before a service.
pub type AclLayer = GateLayer<Acl>;

/// Registry entry: builds [`AclLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct AclPlugin;

impl Plugin for AclPlugin {
    const NAME: &'static str = "acl";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2410;
    type Config = AclConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<AclConfig>()
    }

    fn build(&self, config: AclConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Acl::new(config).map(|acl| AclLayer::of(acl).into())
    }
}
