//! Fields that a plugin does not know are left out of its block, under `unknown_fields: warn`.
use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::plugin::ConfigError;

/// Reads a block; with `leave_out`, without the fields that its plugin does not know, each of which is told to `left_out`.
///
/// # Errors
/// What `read` says of the block.
pub(super) fn read<T>(
    block: &mut Cow<'_, Map<String, Value>>,
    leave_out: bool,
    read: impl Fn(&Map<String, Value>) -> Result<T, ConfigError>,
    mut left_out: impl FnMut(&ConfigError),
) -> Result<T, ConfigError> {
    // One field less at each turn: it ends.
    loop {
        match read(block) {
            Err(error @ ConfigError::UnknownField { .. }) if leave_out && remove(block.to_mut(), error.field()) => {
                left_out(&error);
            }
            result => return result,
        }
    }
}

/// Takes the value at a path out of an object; tells whether there was one. A key may have dots in it.
fn remove(object: &mut Map<String, Value>, path: &str) -> bool {
    if object.remove(path).is_some() {
        return true;
    }
    object.iter_mut().any(|(key, value)| {
        let behind = path.strip_prefix(key.as_str()).and_then(|behind| behind.strip_prefix('.'));
        behind.is_some_and(|behind| remove_inside(value, behind))
    })
}

fn remove_inside(value: &mut Value, path: &str) -> bool {
    match value {
        Value::Object(object) => remove(object, path),
        Value::Array(items) => path.split_once('.').is_some_and(|(index, behind)| {
            let item = index.parse().ok().and_then(|index: usize| items.get_mut(index));
            item.is_some_and(|item| remove_inside(item, behind))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_value_at_a_path_comes_out() {
        let whole = json!({"a": 1, "b.c": {"d": 2}, "e": [{"f": 3}, {"f.g": {"h": 4}}]});
        for (path, left) in [
            ("a", Some(json!({"b.c": {"d": 2}, "e": [{"f": 3}, {"f.g": {"h": 4}}]}))),
            ("b.c.d", Some(json!({"a": 1, "b.c": {}, "e": [{"f": 3}, {"f.g": {"h": 4}}]}))),
            ("e.0.f", Some(json!({"a": 1, "b.c": {"d": 2}, "e": [{}, {"f.g": {"h": 4}}]}))),
            ("e.1.f.g.h", Some(json!({"a": 1, "b.c": {"d": 2}, "e": [{"f": 3}, {"f.g": {}}]}))),
            ("", None),
            ("x", None),
            ("a.b", None),
            ("b.c.d.e", None),
            ("e.0", None),
            ("e.2.f", None),
            ("e.x.f", None),
        ] {
            let mut object = whole.as_object().unwrap().clone();
            assert_eq!(remove(&mut object, path), left.is_some(), "{path}");
            assert_eq!(Value::from(object), left.unwrap_or_else(|| whole.clone()), "{path}");
        }
    }
}
