//! The options.
use serde::Deserialize;

/// Options of `data-mask`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DataMaskConfig {
    /// The rules, in order. Default: none.
    pub request: Vec<MaskRule>,
    /// Longest body that rules are for, in bytes; without effect, as no body is logged. Default 1,048,576.
    pub max_body_size: u64,
    /// Most fields of a form that rules are for; without effect, as no body is logged. Default 100.
    pub max_req_post_args: u32,
}

impl Default for DataMaskConfig {
    fn default() -> Self {
        Self { request: Vec::new(), max_body_size: 1_048_576, max_req_post_args: 100 }
    }
}

/// What is hidden, and how.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MaskRule {
    /// Where it is. Required.
    #[serde(rename = "type")]
    pub kind: MaskType,
    /// The name of the argument or field; of a body a path. Required.
    pub name: String,
    /// What is done to it. Required.
    pub action: MaskAction,
    /// What a body is: `json` or `urlencoded`. Required for `body`.
    #[serde(default)]
    pub body_format: Option<BodyFormat>,
    /// What is shown instead. Required for `replace` and `regex`.
    #[serde(default)]
    pub value: Option<String>,
    /// What is looked for in the value: a pattern of the `regex` crate. Required for `regex`.
    #[serde(default)]
    pub regex: Option<String>,
}

impl MaskRule {
    /// Takes an argument of the query out.
    pub fn remove_argument(name: impl Into<String>) -> Self {
        Self {
            kind: MaskType::Query,
            name: name.into(),
            action: MaskAction::Remove,
            body_format: None,
            value: None,
            regex: None,
        }
    }
}

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MaskType {
    /// In the query.
    Query,
    /// In a field.
    Header,
    /// In the body.
    Body,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MaskAction {
    /// It is taken out.
    Remove,
    /// Something else stands in its place.
    Replace,
    /// Something else stands in the place of a part of it.
    Regex,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// JSON.
    Json,
    /// A form.
    Urlencoded,
}
