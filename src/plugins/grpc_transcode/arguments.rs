//! Arguments of a query or a form, as the JSON that they stand for.
use serde_json::{Map, Value};

/// Names of fields that may stand behind one another: `a.b.c`.
const DEPTH: usize = 32;

/// Adds arguments to `fields`; what is there already stays. `a.b=1` is the field `b` of the message `a`, a name that occurs
/// more than once is a list.
pub(super) fn add(arguments: &[u8], fields: &mut Map<String, Value>) {
    let mut named: Map<String, Value> = Map::new();
    for (name, value) in form_urlencoded::parse(arguments) {
        let value = Value::String(value.into_owned());
        match named.get_mut(&*name) {
            None => _ = named.insert(name.into_owned(), value),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    for (name, value) in named {
        if !fields.contains_key(&name) && name.split('.').count() <= DEPTH {
            put(fields, &name, value);
        }
    }
}

/// Sets one field, whatever is there.
pub(super) fn set(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => _ = fields.insert(name.to_owned(), value),
        Some((outer, inner)) => {
            let message = fields.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if !message.is_object() {
                *message = Value::Object(Map::new());
            }
            if let Value::Object(message) = message {
                set(message, inner, value);
            }
        }
    }
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => _ = fields.entry(name).or_insert(value),
        Some((outer, inner)) => {
            let message = fields.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            // Else the body says something else of it, which counts.
            if let Value::Object(message) = message {
                put(message, inner, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
            add(arguments.as_bytes(), &mut fields);
            assert_eq!(Value::Object(fields), wanted, "{arguments}");
        }
    }
}
