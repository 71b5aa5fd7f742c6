//! What an operator writes.
use serde::Deserialize;

/// Options of `authz-casbin`. Either both texts, or both files, or none of the four: then those of the metadata count.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthzCasbinConfig {
    /// Name of the field that says who calls. Required.
    pub username: String,
    /// The model.
    pub model: Option<String>,
    /// The policies, one on a line.
    pub policy: Option<String>,
    /// File of the model.
    pub model_path: Option<String>,
    /// File of the policies.
    pub policy_path: Option<String>,
}

/// Metadata of `authz-casbin`: for blocks that have no model of their own. Both, or none.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthzCasbinMetadata {
    /// The model.
    pub model: Option<String>,
    /// The policies, one on a line.
    pub policy: Option<String>,
}
