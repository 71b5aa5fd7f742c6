//! The block of configuration.
use serde::Deserialize;
use serde_json::Value;

/// Options of `cedar`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CedarConfig {
    /// The policies, in Cedar; at most 1000 of them and 1 MiB of text. Required.
    pub policies: String,
    /// A schema that policies and entities are held against when the block is loaded: in Cedar's own form, or as JSON text. Default: none.
    pub schema: Option<String>,
    /// What policies know of consumers, routes, groups and the like, in Cedar's JSON form: `uid`, `attrs`, `parents`, `tags`. Default: none.
    pub entities: Vec<Value>,
    /// The namespace of the types that the gateway writes (`Consumer`, `User`, `Anonymous`, `Action`, and `resource_type`). Default: none.
    pub namespace: Option<String>,
    /// The action's id: a text with variables. Default `$request_method`.
    pub action: String,
    /// The resource's type. Default `Route`.
    pub resource_type: String,
    /// The resource's id: a text with variables. Default `$route_id`.
    pub resource: String,
    /// The claim that names a user whom an identity provider knows. Default `sub`.
    pub user_claim: String,
    /// Status for those who may not pass, 200 to 999. Default 403.
    pub rejected_code: u16,
    /// Text for those who may not pass. Default `Access Denied`.
    pub rejected_msg: Option<String>,
}

impl Default for CedarConfig {
    fn default() -> Self {
        Self {
            policies: String::new(),
            schema: None,
            entities: Vec::new(),
            namespace: None,
            action: "$request_method".to_owned(),
            resource_type: "Route".to_owned(),
            resource: "$route_id".to_owned(),
            user_claim: "sub".to_owned(),
            rejected_code: 403,
            rejected_msg: None,
        }
    }
}
