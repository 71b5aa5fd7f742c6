//! Members that a schema has a value for, filled in where they are missing.
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What is filled in at one place of a value, and below it.
#[derive(Debug, std::default::Default)]
pub(super) struct Defaults {
    /// Members of an object here: what stands in for a missing one, and what is below one that is there.
    members: Vec<(String, Option<Default>, Self)>,
    /// Below each item of an array here.
    items: Option<Box<Self>>,
}

/// What stands in for a member, and how many bytes it takes in a text.
#[derive(Debug)]
struct Default {
    value: Value,
    bytes: usize,
}

/// More would be filled in than may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

impl Defaults {
    /// What a schema has to fill in; `None` if it is nothing.
    pub(super) fn of(schema: &Map<String, Value>) -> Option<Self> {
        let below = |schema: &Value| schema.as_object().and_then(Self::of);
        let properties = schema.get("properties").and_then(Value::as_object);
        let member = |(name, schema): (&String, &Value)| {
            let default = schema.get("default").map(|value| Default::of(name, value));
            let below = below(schema);
            (default.is_some() || below.is_some()).then(|| (name.clone(), default, below.unwrap_or_default()))
        };
        let members: Vec<_> = properties.into_iter().flatten().filter_map(member).collect();
        let items = schema.get("items").and_then(below).map(Box::new);
        (!members.is_empty() || items.is_some()).then_some(Self { members, items })
    }

    /// Fills in, and takes what that makes a text longer by off the bytes that are `left`; tells whether anything was missing.
    ///
    /// # Errors
    /// When less is left than is missing.
    pub(super) fn fill(&self, value: &mut Value, left: &mut usize) -> Result<bool, TooMuch> {
        let mut filled = false;
        match value {
            Value::Object(object) => {
                for (name, default, below) in &self.members {
                    match (object.get_mut(name), default) {
                        (Some(member), _) => filled |= below.fill(member, left)?,
                        (None, Some(default)) => {
                            *left = left.checked_sub(default.bytes).ok_or(TooMuch)?;
                            object.insert(name.clone(), default.value.clone());
                            filled = true;
                        }
                        (None, None) => {}
                    }
                }
            }
            Value::Array(array) => {
                for (item, below) in array.iter_mut().zip(std::iter::repeat(self.items.as_deref())) {
                    filled |= below.map_or(Ok(false), |below| below.fill(item, left))?;
                }
            }
            _ => {}
        }
        Ok(filled)
    }
}

impl Default {
    fn of(name: &str, value: &Value) -> Self {
        let bytes = name.len() + value.to_string().len() + "\"\":,".len();
        Self { value: value.clone(), bytes }
    }
}

/// The members of an object as they stand in its text.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

impl Defaults {
    /// A JSON text with what is missing filled in, and all else as it was written; `None` if nothing is missing.
    pub(super) fn filled(&self, text: &str) -> Option<String> {
        match text.trim_start().as_bytes().first() {
            Some(b'{') if !self.members.is_empty() => self.filled_object(text),
            Some(b'[') => self.filled_array(text),
            _ => None,
        }
    }

    fn filled_object(&self, text: &str) -> Option<String> {
        let Members(members) = serde_json::from_str(text).ok()?;
        let mut parts = Vec::with_capacity(members.len());
        let mut filled = false;
        for (name, value) in &members {
            let below = self.members.iter().find(|(known, ..)| known == name);
            let inner = below.and_then(|(.., below)| below.filled(value.get()));
            filled |= inner.is_some();
            parts.push(format!("{}:{}", Value::from(name.as_str()), inner.as_deref().unwrap_or(value.get())));
        }
        let is_there = |name: &String| members.iter().any(|(there, _)| there == name);
        for (name, default, _) in self.members.iter().filter(|(name, ..)| !is_there(name)) {
            if let Some(default) = default {
                filled = true;
                parts.push(format!("{}:{}", Value::from(name.as_str()), default.value));
            }
        }
        filled.then(|| format!("{{{}}}", parts.join(",")))
    }

    fn filled_array(&self, text: &str) -> Option<String> {
        let below = self.items.as_deref()?;
        let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let inner: Vec<_> = items.iter().map(|item| below.filled(item.get())).collect();
        inner.iter().any(Option::is_some).then(|| {
            let texts = items.iter().zip(&inner).map(|(item, inner)| inner.as_deref().unwrap_or(item.get()));
            format!("[{}]", texts.collect::<Vec<_>>().join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(schema: &Value, mut value: Value) -> Option<Value> {
        let defaults = Defaults::of(schema.as_object().unwrap())?;
        defaults.fill(&mut value, &mut 1000).unwrap().then_some(value)
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
            let text = Defaults::of(schema.as_object().unwrap()).unwrap().filled(&format!(" {value}"));
            assert_eq!(text.map(|text| serde_json::from_str(&text).unwrap()), expected, "{value}");
        }
        let text = r#"{"b\u0061": 123456789012345678901234567890, "tags": [ {"x": 1.0}, 0.10000000000000000001 ]}"#;
        assert_eq!(
            Defaults::of(schema.as_object().unwrap()).unwrap().filled(text).unwrap(),
            r#"{"ba":123456789012345678901234567890,"tags":[{"x":1.0,"color":"red"},0.10000000000000000001],"plan":"free"}"#,
            "what was written stays"
        );
        assert!(
            Defaults::of(json!({"properties": {"a": {"type": "string"}, "b": true}}).as_object().unwrap()).is_none()
        );
    }

    #[test]
    fn what_is_filled_in_is_bounded_before_it_is_there() {
        let schema = json!({"items": {"properties": {"a": {"default": "x".repeat(100)}}}});
        let defaults = Defaults::of(schema.as_object().unwrap()).unwrap();
        let mut two = json!([{}, {"a": 1}, {}]);
        let (text, mut left) = (two.to_string(), 220);
        assert_eq!(defaults.fill(&mut two, &mut left), Ok(true));
        // an empty object has no comma to add
        let longer = defaults.filled(&text).unwrap().len() - text.len();
        assert!((longer..=longer + 2).contains(&(220 - left)), "{longer} {left}");
        assert_eq!(defaults.fill(&mut json!([{}, {}, {}]), &mut 220), Err(TooMuch));
    }
}
