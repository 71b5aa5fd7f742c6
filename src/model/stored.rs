//! [`stored`]: the wire form of an item as a store keeps it.
use serde::Serialize;
use serde_json::{Map, Value};

use super::check::Described;
use super::check::shape::{Shape, Struct};

/// The wire form of an item that was written as `written`, with its defaults. Extensions that nobody wrote are not in it,
/// so that the reference, which refuses what it does not know, can read the same store (model.md §10a).
///
/// # Errors
/// None of the types here can fail to serialize; what serde reports is passed on.
pub(crate) fn stored<T: Described + Serialize>(item: &T, written: &Value) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(item)?;
    if let (Value::Object(value), Value::Object(written)) = (&mut value, written) {
        strip(value, written, T::SHAPE);
    }
    Ok(value)
}

fn strip(value: &mut Map<String, Value>, written: &Map<String, Value>, shape: &Struct) {
    for field in shape.fields {
        match (written.get(field.name), value.get_mut(field.name)) {
            (None, Some(_)) if field.extension => {
                value.remove(field.name);
            }
            (written, Some(Value::Object(value))) => {
                if let Shape::Struct(shape) = &field.shape {
                    let nothing = Map::new();
                    strip(value, written.and_then(Value::as_object).unwrap_or(&nothing), shape);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::RouteSpec;

    #[test]
    fn defaults_are_written_and_extensions_only_where_they_were() {
        let written = json!({
            "id": 1, "uri": "/",
            "upstream": {"nodes": {"a:80": 1}, "panic_threshold": 1, "tls": {"verify": false}},
        });
        let route: RouteSpec = serde_json::from_value(written.clone()).unwrap();
        let value = stored(&route, &written).unwrap();
        assert_eq!(
            value,
            json!({
                "id": "1", "uri": "/", "priority": 0, "status": 1,
                "upstream": {
                    "type": "roundrobin", "scheme": "http", "pass_host": "pass", "hash_on": "vars", "retry_timeout": 0,
                    "timeout": {"connect": 5, "send": 60, "read": 60},
                    "keepalive_pool": {"size": 320, "idle_timeout": 60, "requests": 1000},
                    "nodes": [{"host": "a", "port": 80, "weight": 1}],
                    "tls": {"verify": false},
                    "panic_threshold": 1,
                },
            }),
        );
    }
}
