//! The block.
use std::collections::BTreeMap;

use serde::Deserialize;

/// Options of `acl`. At least one of `allow_labels` and `deny_labels` is to be set.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AclConfig {
    /// Labels with the values of which one is needed to pass; at least one label, each with at least one value. Not set by
    /// default.
    pub allow_labels: Option<BTreeMap<String, Vec<String>>>,
    /// Labels with the values of which none may be had; at least one label, each with at least one value. Not set by
    /// default.
    pub deny_labels: Option<BTreeMap<String, Vec<String>>>,
    /// Status for those who may not pass, 200 to 999. Default 403.
    pub rejected_code: u16,
    /// Text for those who may not pass. Default `The consumer is forbidden.`
    pub rejected_msg: Option<String>,
    /// Where an external user's values stand, as a JSON path of names, indices and `[*]`: `groups`, `$.realm.roles[*]`,
    /// `$['a.b'][0]`. Default `groups`.
    pub external_user_label_field: String,
    /// The label that these values are looked up as. By default the text of `external_user_label_field`.
    pub external_user_label_field_key: Option<String>,
    /// How an external user's values are read: `segmented_text` (text with separators), `json` (a JSON array as text) or
    /// `table` (an array). By default each that fits.
    pub external_user_label_field_parser: Option<LabelParser>,
    /// What stands between values under `segmented_text`: a regular expression; blanks around it do not count. Required
    /// there, and not used elsewhere.
    pub external_user_label_field_separator: Option<String>,
}

impl Default for AclConfig {
    fn default() -> Self {
        Self {
            allow_labels: None,
            deny_labels: None,
            rejected_code: 403,
            rejected_msg: None,
            external_user_label_field: "groups".to_owned(),
            external_user_label_field_key: None,
            external_user_label_field_parser: None,
            external_user_label_field_separator: None,
        }
    }
}

/// How the values of a label are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LabelParser {
    /// Text with separators in it.
    SegmentedText,
    /// A JSON array, as text.
    Json,
    /// An array.
    Table,
}
