//! Plugins as configured: [`PluginMap`] and the resources that hold nothing else.
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::check::Described;
use super::check::shape::{CREATED, DESC, Dict, Either, Field, LABELS, NAME, Shape, Struct, Text, UPDATED, VARS, text};
use super::check::walk::Walk;
use super::{Id, Kind, Labels, Resource};

/// Plugin name → its configuration, an object that the plugin itself judges (nothing, as behind `key-auth:` in YAML, is
/// an empty one); `_meta` in it is the gateway's
/// (model.md §7.4). In order of name. `Debug` shows the names only, as configurations hold credentials.
#[derive(Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct PluginMap(BTreeMap<String, Map<String, Value>>);

impl PluginMap {
    /// No plugins.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a plugin; what stood under that name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, config: Map<String, Value>) -> Self {
        self.insert(name, config);
        self
    }

    /// Puts a plugin in; gives back what stood under that name.
    pub fn insert(&mut self, name: impl Into<String>, config: Map<String, Value>) -> Option<Map<String, Value>> {
        self.0.insert(name.into(), config)
    }

    /// The configuration of `name`.
    pub fn get(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)
    }

    /// Name and configuration of each, in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Map<String, Value>)> {
        self.0.iter().map(|(name, config)| (name.as_str(), config))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for PluginMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let plugins = BTreeMap::<String, Option<Map<String, Value>>>::deserialize(deserializer)?;
        Ok(Self(plugins.into_iter().map(|(name, config)| (name, config.unwrap_or_default())).collect()))
    }
}

impl FromIterator<(String, Map<String, Value>)> for PluginMap {
    fn from_iter<I: IntoIterator<Item = (String, Map<String, Value>)>>(plugins: I) -> Self {
        Self(plugins.into_iter().collect())
    }
}

impl fmt::Debug for PluginMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A set of plugins that routes share by `plugin_config_id`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PluginConfigSpec {
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

/// Plugins that run for every request, in a chain of their own that is never merged with a route's.
///
/// A plugin may stand in one rule only: the later rule, by id, is refused.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct GlobalRuleSpec {
    /// Its id. Required.
    pub id: Id,
    /// The plugins. Required.
    pub plugins: PluginMap,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

/// What a plugin is told once per gateway rather than per route, such as a log format. Judged by the plugin.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PluginMetadataSpec {
    /// The plugin's name. Required.
    pub id: Id,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
    /// All other fields.
    #[serde(flatten)]
    pub config: Map<String, Value>,
}

impl fmt::Debug for PluginMetadataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginMetadataSpec").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One line of the list of enabled plugins. Their order means nothing.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct EnabledPlugin {
    /// The plugin's name. Required.
    pub name: Id,
    /// Whether it is the plugin for L4 streams of that name. Default `false`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
}

const PLUGIN_NAME: Text = Text { min: 1, max: 256, rule: None };

/// `plugins` wherever they stand.
pub(crate) const PLUGINS: Shape =
    Shape::Dict(&Dict { key: PLUGIN_NAME, value: Shape::Either(&Either { forms: &[FREE], judge: judge_plugin }) });

/// Any object.
pub(crate) const FREE: Shape =
    Shape::Dict(&Dict { key: Text { min: 0, max: usize::MAX, rule: None }, value: Shape::Any });

const META: Struct = Struct::new(&[
    Field::new("disable", Shape::Bool),
    Field::new("priority", Shape::Int(i32::MIN as i64, i32::MAX as i64)),
    Field::new("filter", VARS),
    Field::new(
        "error_response",
        Shape::Either(&Either {
            forms: &[Shape::Text(Text { min: 0, max: usize::MAX, rule: None }), FREE],
            judge: judge_error_response,
        }),
    ),
])
.refusing(&[("pre_function", "remove it: Lua does not run here; write a tower layer or a plugin in Rust instead")]);

fn judge_plugin<'v>(config: &'v Value, walk: &mut Walk<'_, 'v>) {
    match config {
        // `key-auth:` and nothing behind it: what the reference's YAML reader makes an empty table of.
        Value::Null => {}
        Value::Object(config) => {
            if let Some(meta) = config.get("_meta") {
                walk.under("_meta", |walk| walk.value(meta, &Shape::Struct(&META)));
            }
        }
        _ => {
            walk.mismatch(config, &FREE);
        }
    }
}

fn judge_error_response<'v>(response: &'v Value, walk: &mut Walk<'_, 'v>) {
    if !matches!(response, Value::String(_) | Value::Object(_)) {
        walk.error("is neither a string nor an object", "write the text of the answer, or an object that becomes JSON");
    }
}

impl Resource for PluginConfigSpec {
    const KIND: Kind = Kind::PluginConfig;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for PluginConfigSpec {
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

impl Resource for GlobalRuleSpec {
    const KIND: Kind = Kind::GlobalRule;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for GlobalRuleSpec {
    const SHAPE: &'static Struct =
        &Struct::new(&[Field::required("id", Shape::Id), Field::required("plugins", PLUGINS), CREATED, UPDATED]);
    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}

impl Resource for PluginMetadataSpec {
    const KIND: Kind = Kind::PluginMetadata;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for PluginMetadataSpec {
    const SHAPE: &'static Struct = &Struct::new(&[Field::required("id", text(256)), CREATED, UPDATED]).open();
    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}

impl Resource for EnabledPlugin {
    const KIND: Kind = Kind::Plugin;
    fn id(&self) -> &Id {
        &self.name
    }
}

impl Described for EnabledPlugin {
    const SHAPE: &'static Struct =
        &Struct::new(&[Field::required("name", text(256)), Field::new("stream", Shape::Bool)]);
    const NAMED_BY: &'static [&'static str] = &["name"];
    fn set_id(&mut self, id: Id) {
        self.name = id;
    }
}
