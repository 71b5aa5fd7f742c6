//! What lies between two values, as operations of a JSON Patch (RFC 6902).
use serde_json::{Value, json};

/// The operations that make `after` of `before`. Objects are compared by member; anything else that differs is replaced
/// as a whole.
pub(super) fn operations(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    compare(before, after, "", &mut operations);
    operations
}

fn compare(before: &Value, after: &Value, path: &str, operations: &mut Vec<Value>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            operations.push(json!({ "op": "replace", "path": path, "value": after }));
        }
        return;
    };
    let below = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        operations.push(json!({ "op": "remove", "path": below(name) }));
    }
    for (name, value) in new {
        match old.get(name) {
            Some(before) => compare(before, value, &below(name), operations),
            None => operations.push(json!({ "op": "add", "path": below(name), "value": value })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_lead_from_one_to_the_other() {
        let values = [
            json!({}),
            json!({"a": 1}),
            json!({"a": {"b": [1], "c/~d": null}}),
            json!({"a": {"b": [2], "c/~d": {"e": 1}}, "f": "g"}),
            json!(null),
        ];
        for before in &values {
            for after in &values {
                let operations: json_patch::Patch =
                    serde_json::from_value(Value::Array(operations(before, after))).unwrap();
                let mut value = before.clone();
                json_patch::patch(&mut value, &operations).unwrap();
                assert_eq!(value, *after, "{before} {operations}");
                assert_eq!(operations.is_empty(), before == after);
            }
        }
    }
}
