//! Arguments of a query or a form, as the JSON that they stand for.
//!
//! A field has two names, and those who write a body and a query may choose one each: what counts is which field is meant.
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::from_json::field_named;
use super::to_json::has_own_json;

/// Names of fields that may stand behind one another: `a.b.c`.
const DEPTH: usize = 32;

/// Adds arguments to `fields` of a message; what is there already stays. `a.b=1` is the field `b` of the message `a`, a field
/// that occurs more than once is a list.
pub(super) fn add(arguments: &[u8], kind: &MessageDescriptor, fields: &mut Map<String, Value>) {
    let mut named: Map<String, Value> = Map::new();
    for (name, value) in form_urlencoded::parse(arguments) {
        if name.split('.').count() > DEPTH {
            continue;
        }
        let value = Value::String(value.into_owned());
        let name = by_definition(Some(kind), &name);
        match named.get_mut(&name) {
            None => _ = named.insert(name, value),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    for (name, value) in named {
        put(fields, Some(kind), &name, value, false);
    }
}

/// Sets one field, whatever is there.
pub(super) fn set(fields: &mut Map<String, Value>, kind: &MessageDescriptor, name: &str, value: Value) {
    put(fields, Some(kind), name, value, true);
}

/// The names as the definition has them.
fn by_definition(kind: Option<&MessageDescriptor>, names: &str) -> String {
    let (name, rest) = names.split_once('.').map_or((names, None), |(name, rest)| (name, Some(rest)));
    let field = kind.and_then(|kind| field_named(kind, name));
    let name = field.as_ref().map_or(name, |field| field.name());
    match rest {
        None => name.to_owned(),
        Some(rest) => format!("{name}.{}", by_definition(inner(field.as_ref()).as_ref(), rest)),
    }
}

/// The message that a field holds, if its JSON has the fields of that.
fn inner(field: Option<&FieldDescriptor>) -> Option<MessageDescriptor> {
    match field.filter(|field| !field.is_list() && !field.is_map())?.kind() {
        Kind::Message(kind) if !has_own_json(&kind) => Some(kind),
        _ => None,
    }
}

fn put(fields: &mut Map<String, Value>, kind: Option<&MessageDescriptor>, name: &str, value: Value, replaces: bool) {
    let (name, rest) = name.split_once('.').map_or((name, None), |(name, rest)| (name, Some(rest)));
    let field = kind.and_then(|kind| field_named(kind, name));
    let there = field.as_ref().map(|field| [field.name(), field.json_name()].map(str::to_owned));
    let key = there.into_iter().flatten().find(|name| fields.contains_key(name)).unwrap_or_else(|| name.to_owned());
    let Some(rest) = rest else {
        if replaces {
            fields.insert(key, value);
        } else {
            fields.entry(key).or_insert(value);
        }
        return;
    };
    let message = fields.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if replaces && !message.is_object() {
        *message = Value::Object(Map::new());
    }
    // Else the body says something else of it, which counts.
    if let Value::Object(message) = message {
        put(message, inner(field.as_ref()).as_ref(), rest, value, replaces);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proto::Definitions;

    fn kind() -> MessageDescriptor {
        let text = "syntax = \"proto3\"; message M { string user_id = 1; M the_inner = 2 [json_name = \"in\"];
            map<string, M> the_map = 3; repeated int32 the_list = 4; }";
        let mut definitions = Definitions::default();
        definitions.add("a.proto", text.into());
        definitions.compile("a.proto").unwrap().pool().get_message_by_name("M").unwrap()
    }

    #[test]
    fn arguments_become_fields_and_those_of_the_body_stay() {
        for (arguments, body, wanted) in [
            ("", json!({}), json!({})),
            ("a=1&b=x+y%21", json!({}), json!({"a": "1", "b": "x y!"})),
            ("a=1&a=2&a=3", json!({}), json!({"a": ["1", "2", "3"]})),
            ("a.b=1&a.c=2&a.d.e=3", json!({}), json!({"a": {"b": "1", "c": "2", "d": {"e": "3"}}})),
            ("a=1&b=2", json!({"a": 9}), json!({"a": 9, "b": "2"})),
            ("a.b=1&a.c=2", json!({"a": {"b": 9}}), json!({"a": {"b": 9, "c": "2"}})),
            ("a.b=1", json!({"a": 9}), json!({"a": 9})),
            ("a=1&a.b=2", json!({}), json!({"a": "1"})),
            (&format!("{}a=1", "a.".repeat(100)), json!({}), json!({})),
        ] {
            let mut fields = body.as_object().unwrap().clone();
            add(arguments.as_bytes(), &kind(), &mut fields);
            assert_eq!(Value::Object(fields), wanted, "{arguments}");
        }
    }

    #[test]
    fn a_field_is_the_same_by_either_name() {
        for (arguments, body, wanted) in [
            ("user_id=b", json!({"userId": "a"}), json!({"userId": "a"})),
            ("userId=b", json!({"user_id": "a"}), json!({"user_id": "a"})),
            ("userId=b", json!({"user_id": null}), json!({"user_id": null})),
            ("the_inner.user_id=b", json!({"in": {"userId": "a"}}), json!({"in": {"userId": "a"}})),
            ("the_inner.user_id=b", json!({"in": {}}), json!({"in": {"user_id": "b"}})),
            ("in.userId=b", json!({"the_inner": 1}), json!({"the_inner": 1})),
            ("theList=1&the_list=2", json!({}), json!({"the_list": ["1", "2"]})),
            // What stands in a map or is no field has one name.
            (
                "theMap.userId=b",
                json!({"the_map": {"user_id": {}}}),
                json!({"the_map": {"user_id": {}, "userId": "b"}}),
            ),
            ("noField=b", json!({"no_field": "a"}), json!({"no_field": "a", "noField": "b"})),
        ] {
            let mut fields = body.as_object().unwrap().clone();
            add(arguments.as_bytes(), &kind(), &mut fields);
            assert_eq!(Value::Object(fields), wanted, "{arguments}");
        }
        let mut fields = json!({"in": {"userId": "a"}}).as_object().unwrap().clone();
        set(&mut fields, &kind(), "the_inner.user_id", json!("b"));
        assert_eq!(Value::Object(fields), json!({"in": {"userId": "b"}}));
    }
}
