//! Who calls: [`ConsumerSpec`], [`CredentialSpec`], [`ConsumerGroupSpec`].
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::Described;
use super::check::shape::{CREATED, DESC, Field, ID, LABELS, NAME, Rule, Shape, Struct, Text, UPDATED, is_id};
use super::check::walk::Walk;
use super::plugin::PLUGINS;
use super::{Id, Kind, Labels, PluginMap, Resource};

/// A consumer: a caller with plugins of its own (model.md §4). Its credentials are [`CredentialSpec`]s beside it, or
/// authentication plugins among `plugins`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerSpec {
    /// Its name and id, 1–256 letters, digits, `_` and `-`. Required.
    pub username: Id,
    /// A description, up to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Free labels; `custom_id` is forwarded to upstreams.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Id of its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Id>,
    /// Plugins: credentials of authentication plugins, and ordinary ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<PluginMap>,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

/// A credential of a consumer; goes when the consumer goes.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CredentialSpec {
    /// `<consumer>/credentials/<id>`, 15–128 characters. Required.
    pub id: Id,
    /// A name for people, 1–256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description, up to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Free labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// One authentication plugin at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<PluginMap>,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

impl CredentialSpec {
    /// The credential `id` of `consumer`, without plugins.
    pub fn new(consumer: &str, id: &str) -> Self {
        Self { id: Id::from(format!("{consumer}{SEPARATOR}{id}")), ..Self::default() }
    }

    /// The name of the consumer that it belongs to.
    pub fn consumer(&self) -> Option<&str> {
        self.id.as_str().split_once(SEPARATOR).map(|(consumer, _)| consumer)
    }

    /// Its id among the consumer's credentials.
    pub fn short_id(&self) -> Option<&str> {
        self.id.as_str().split_once(SEPARATOR).map(|(_, id)| id)
    }

    /// Whether an item among the consumers of a document is a credential.
    pub(crate) fn is_id(id: &str) -> bool {
        id.contains(SEPARATOR)
    }
}

/// Plugins that several consumers share by `group_id`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerGroupSpec {
    /// Its id. Required.
    pub id: Id,
    /// A name for people, 1–256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description, up to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Free labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The plugins. Required.
    pub plugins: PluginMap,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

const SEPARATOR: &str = "/credentials/";

const CREDENTIAL_ID: Rule = Rule {
    holds: |text| {
        text.split_once(SEPARATOR).is_some_and(|(consumer, id)| (Rule::USERNAME.holds)(consumer) && is_id(id))
    },
    expects: "`<consumer>/credentials/<id>`, of 15 to 128 characters",
};

impl Resource for ConsumerSpec {
    const KIND: Kind = Kind::Consumer;
    fn id(&self) -> &Id {
        &self.username
    }
}

impl Described for ConsumerSpec {
    const SHAPE: &'static Struct = &Struct::new(&[
        ID,
        Field::required("username", Shape::Text(Text { min: 1, max: 256, rule: Some(&Rule::USERNAME) })),
        DESC,
        LABELS,
        Field::new("group_id", Shape::Id),
        Field::new("plugins", PLUGINS),
        CREATED,
        UPDATED,
    ])
    .with_rule(one_name);

    fn set_id(&mut self, id: Id) {
        self.username = id;
    }
}

/// The reference takes an `id` beside the name and never looks at it.
fn one_name<'v>(consumer: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    if let Some(id) = consumer.get("id") {
        if consumer.get("username") != Some(id) {
            walk.under("id", |walk| walk.error("is not the username", "remove it: the username is the id"));
        }
        walk.drop_field("id");
    }
}

impl Resource for CredentialSpec {
    const KIND: Kind = Kind::Credential;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for CredentialSpec {
    const SHAPE: &'static Struct = &Struct::new(&[
        Field::required("id", Shape::Text(Text { min: 15, max: 128, rule: Some(&CREDENTIAL_ID) })),
        NAME,
        DESC,
        LABELS,
        Field::new("plugins", PLUGINS),
        CREATED,
        UPDATED,
    ])
    .with_rule(one_plugin);

    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}

fn one_plugin<'v>(credential: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let count = credential.get("plugins").and_then(Value::as_object).map_or(0, Map::len);
    if count > 1 {
        walk.under("plugins", |walk| {
            walk.error(format!("has {count} plugins"), "make a credential of each");
        });
    }
}

impl Resource for ConsumerGroupSpec {
    const KIND: Kind = Kind::ConsumerGroup;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for ConsumerGroupSpec {
    const SHAPE: &'static Struct = &Struct::new(&[
        Field::required("id", Shape::Id),
        NAME,
        DESC,
        LABELS,
        Field::required("plugins", PLUGINS),
        CREATED,
        UPDATED,
    ]);

    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}
