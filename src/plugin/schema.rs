//! JSON Schema of what plugins are configured with.
use serde_json::Value;

/// Which of a plugin's types a schema is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaOf {
    /// [`Plugin::Config`](super::Plugin::Config): the block of a route, service, global rule or consumer.
    Block,
    /// [`AuthPlugin::Credential`](super::AuthPlugin::Credential): the block of a consumer or credential by which the
    /// plugin identifies callers.
    Credential,
    /// What the plugin is told once for the whole gateway.
    Metadata,
}

impl SchemaOf {
    /// The schema of `T` if blocks are asked of. `None` as well without the feature `schema`.
    pub fn block<T: Schematic>(self) -> Option<Value> {
        (self == Self::Block).then(T::schema).flatten()
    }

    /// The schema of `T` if credentials are asked of.
    pub fn credential<T: Schematic>(self) -> Option<Value> {
        (self == Self::Credential).then(T::schema).flatten()
    }

    /// The schema of `T` if metadata is asked of.
    pub fn metadata<T: Schematic>(self) -> Option<Value> {
        (self == Self::Metadata).then(T::schema).flatten()
    }
}

/// A type that tells its JSON Schema: with the feature `schema` every type that implements `schemars::JsonSchema`; without
/// it every type, and none tells anything. So a plugin's code is the same with and without the feature.
pub trait Schematic {
    /// The schema (draft 2020-12), with everything in place instead of by reference.
    fn schema() -> Option<Value>;
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> Schematic for T {
    fn schema() -> Option<Value> {
        let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
        });
        Some(settings.into_generator().into_root_schema_for::<T>().to_value())
    }
}

#[cfg(not(feature = "schema"))]
impl<T> Schematic for T {
    fn schema() -> Option<Value> {
        None
    }
}

/// Adds `_meta` to the schema of a block: every form that the block may take accepts it.
pub(super) fn add_meta(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("_meta".to_owned(), super::Meta::schema());
    } else if schema.get("type").is_some_and(|kind| kind == "object")
        && let Some(object) = schema.as_object_mut()
    {
        object.insert("properties".to_owned(), serde_json::json!({"_meta": super::Meta::schema()}));
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        schema.get_mut(choice).and_then(Value::as_array_mut).into_iter().flatten().for_each(add_meta);
    }
}
