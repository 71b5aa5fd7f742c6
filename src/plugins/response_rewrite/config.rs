//! The options.
use serde::Deserialize;
use serde_json::Value;

use crate::plugins::edit::ResponseHeaders;

/// Options of `response-rewrite`. All are optional.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResponseRewriteConfig {
    /// The new status, 200–598. Default: the status stays.
    pub status_code: Option<u16>,
    /// The new body, as it is: variables are not filled in. Not with `filters`. Default: the body stays.
    pub body: Option<String>,
    /// Whether `body` is base64 (RFC 4648 §4, with padding). Default `false`.
    pub body_base64: bool,
    /// Edits of the answer's fields: `{"add": ["Name: value"], "set": {..}, "remove": [..]}`, or a flat map of what is
    /// to be set. Values are templates. Default: none.
    pub headers: Option<ResponseHeaders>,
    /// When to act: an expression over the answer and the request, such as `[["status", "==", 502]]`. Default: always.
    pub vars: Option<Value>,
    /// Replacements in the body, in order; at least one. Not with `body`. Default: none.
    pub filters: Option<Vec<FilterConfig>>,
    /// Bytes of a body that filters work on, 1 or more; the rest is cut off. Default 67,108,864 (64 MiB).
    pub max_resp_body_size: usize,
}

impl Default for ResponseRewriteConfig {
    fn default() -> Self {
        Self {
            status_code: None,
            body: None,
            body_base64: false,
            headers: None,
            vars: None,
            filters: None,
            max_resp_body_size: 64 * 1024 * 1024,
        }
    }
}

/// A replacement in the body.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FilterConfig {
    /// The pattern, of the `regex` crate: linear time, without look-around. At least 1 character. Required.
    pub regex: String,
    /// What a match becomes; `$1` is a capture, `$$` a dollar sign. Required.
    pub replace: String,
    /// `once` for the first match, `global` for all. Default `once`.
    #[serde(default)]
    pub scope: FilterScope,
    /// Flags: `i` ignores case, `m` lets `^` and `$` match at lines, `s` lets `.` match line ends, `x` lets blanks and
    /// comments stand in the pattern, `u` does nothing more than is done anyway, nor do `j` and `o`. Default `jo`.
    #[serde(default = "jo")]
    pub options: String,
}

impl FilterConfig {
    /// A replacement of the first match.
    pub fn new(regex: impl Into<String>, replace: impl Into<String>) -> Self {
        Self { regex: regex.into(), replace: replace.into(), scope: FilterScope::default(), options: jo() }
    }
}

/// Which matches are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FilterScope {
    /// The first.
    #[default]
    Once,
    /// All.
    Global,
}

fn jo() -> String {
    "jo".to_owned()
}
