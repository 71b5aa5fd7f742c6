//! `acl`: lets callers pass, or turns them away, by their labels. Stage: access.
//!
//! Decision: 1. the labels are the [`Consumer`](crate::request::Consumer)'s, if there is one; else the groups that an
//! identity provider tells of the caller ([`ExternalUser`](crate::request::ExternalUser), in the field
//! `external_user_label_field`); without either, 401; 2. one value of one label in `deny_labels`: turned away; 3. if there
//! are `allow_labels`, one value of one of them is needed. An external user whose values cannot be read by the block's parser
//! is turned away.
//!
//! The value of a label may be one word, a list with commas (`gold,eu`), a JSON array as text (`["gold","eu"]`), or for an
//! external user an array.
//!
//! Answers: 401 with `{"message":"Missing authentication."}`; `rejected_code`, 403 unless set, with
//! `{"message":"The consumer is forbidden."}`, or with `rejected_msg` in its place. Nothing is written.
//!
//! ```
//! use std::collections::BTreeMap;
//! use tollgate::plugins::acl::{Acl, AclConfig, AclLayer};
//!
//! let mut config = AclConfig::default();
//! config.allow_labels = Some(BTreeMap::from([("org".to_owned(), vec!["acme".to_owned()])]));
//! let acl = Acl::new(config)?;
//! let labels = |org: &str| BTreeMap::from([("org".to_owned(), org.to_owned())]);
//! assert!(acl.allows_labels(&labels("acme,other")) && !acl.allows_labels(&labels("other")));
//! let layer = AclLayer::of(acl);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"acl": {"allow_labels": {"groups": ["admin", "ops"]}, "external_user_label_field": "$.realm_access.roles",
//!          "external_user_label_field_key": "groups"}}
//! ```
mod config;
mod gate;
mod json_path;
#[cfg(test)]
mod tests;
mod values;

pub use config::{AclConfig, LabelParser};
pub use gate::{Acl, AclLayer, AclPlugin};
