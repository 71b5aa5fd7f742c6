//! Members that a schema has a value for, filled in where they are missing.
use serde_json::{Map, Value};

/// What is filled in at one place of a value, and below it.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    /// Members of an object here: what stands in for a missing one, and what is below one that is there.
    members: Vec<(String, Option<Value>, Self)>,
    /// Below each item of an array here.
    items: Option<Box<Self>>,
}

impl Defaults {
    /// What a schema has to fill in; `None` if it is nothing.
    pub(super) fn of(schema: &Map<String, Value>) -> Option<Self> {
        let below = |schema: &Value| schema.as_object().and_then(Self::of);
        let properties = schema.get("properties").and_then(Value::as_object);
        let member = |(name, schema): (&String, &Value)| {
            let (default, below) = (schema.get("default").cloned(), below(schema));
            (default.is_some() || below.is_some()).then(|| (name.clone(), default, below.unwrap_or_default()))
        };
        let members: Vec<_> = properties.into_iter().flatten().filter_map(member).collect();
        let items = schema.get("items").and_then(below).map(Box::new);
        (!members.is_empty() || items.is_some()).then_some(Self { members, items })
    }

    /// Fills in; tells whether anything was missing.
    pub(super) fn fill(&self, value: &mut Value) -> bool {
        let mut filled = false;
        match value {
            Value::Object(object) => {
                for (name, default, below) in &self.members {
                    match (object.get_mut(name), default) {
                        (Some(member), _) => filled |= below.fill(member),
                        (None, Some(default)) => {
                            object.insert(name.clone(), default.clone());
                            filled = true;
                        }
                        (None, None) => {}
                    }
                }
            }
            Value::Array(array) => {
                for (item, below) in array.iter_mut().zip(std::iter::repeat(self.items.as_deref())) {
                    filled |= below.is_some_and(|below| below.fill(item));
                }
            }
            _ => {}
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(schema: &Value, mut value: Value) -> Option<Value> {
        let filled = Defaults::of(schema.as_object().unwrap()).is_some_and(|defaults| defaults.fill(&mut value));
        filled.then_some(value)
    }

    #[test]
    fn missing_members_are_filled_in_wherever_they_stand() {
        let schema = json!({"properties": {
            "plan": {"default": "free"},
            "tags": {"items": {"properties": {"color": {"default": "red"}}}},
            "deep": {"properties": {"x": {"default": null}}},
        }});
        for (value, expected) in [
            (json!({"plan": null, "tags": [], "deep": {"x": 1}}), None),
            (json!({}), Some(json!({"plan": "free"}))),
            (json!({"plan": 1, "deep": {}}), Some(json!({"plan": 1, "deep": {"x": null}}))),
            (
                json!({"plan": 1, "tags": [{}, {"color": 1}, 7]}),
                Some(json!({"plan": 1, "tags": [{"color": "red"}, {"color": 1}, 7]})),
            ),
            (json!([1]), None),
            (json!("text"), None),
        ] {
            assert_eq!(filled(&schema, value.clone()), expected, "{value}");
        }
        assert!(
            Defaults::of(json!({"properties": {"a": {"type": "string"}, "b": true}}).as_object().unwrap()).is_none()
        );
    }
}
