//! The forms of PATCH, as functions of values.
use json_patch::PatchErrorKind;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::body;
use crate::syntax::Bounds;

/// Steps of a path to a member.
const STEPS: usize = 64;
/// Operations of a JSON Patch; each may copy as much as an item has.
const OPERATIONS: usize = 1000;

/// A change of a part of an item.
#[derive(Clone, Debug)]
pub(super) enum Patch {
    /// The reference's: members are merged, `null` removes, anything else replaces; `nodes` as a map are merged by address.
    Merge(Value),
    /// RFC 7396.
    MergeRfc(Value),
    /// RFC 6902.
    Operations(json_patch::Patch),
    /// Replaces the member at a path; `null` removes it.
    At(Vec<String>, Value),
}

impl Patch {
    /// The patch that a body of a content type is.
    ///
    /// # Errors
    /// 400 for a body that is none.
    pub(super) fn read(content_type: &str, body: Value) -> Result<Self, Answer> {
        let object = |body: Value| match body.is_object() {
            true => Ok(body),
            false => Err(Answer::bad("invalid request body: is no object")),
        };
        match content_type {
            "application/json-patch+json" => match serde_json::from_value(body) {
                Ok(json_patch::Patch(operations)) if operations.len() > OPERATIONS => {
                    Err(Answer::bad(format!("invalid request body: has more than {OPERATIONS} operations")))
                }
                Ok(operations) => Ok(Self::Operations(operations)),
                Err(error) => Err(Answer::bad(format!("invalid request body: is no JSON Patch: {error}"))),
            },
            "application/merge-patch+json" => object(body).map(Self::MergeRfc),
            _ => object(body).map(Self::Merge),
        }
    }

    /// Whether it may be made once more of an item that somebody else has changed meanwhile. Operations rest on what
    /// their author saw.
    pub(super) fn may_be_repeated(&self) -> bool {
        !matches!(self, Self::Operations(_))
    }

    /// Whether it sets or removes that top-level member.
    pub(super) fn sets(&self, name: &str) -> bool {
        match self {
            Self::Merge(patch) | Self::MergeRfc(patch) => patch.get(name).is_some(),
            Self::Operations(operations) => {
                operations.iter().any(|operation| operation.path().first().is_some_and(|token| token.decoded() == name))
            }
            Self::At(path, _) => path.first().is_some_and(|first| first == name),
        }
    }

    /// Makes the change.
    ///
    /// # Errors
    /// 400 where there is nothing to change at the path, or the item would get larger or nest deeper than a body may, 409
    /// where a `test` of a JSON Patch fails.
    pub(super) fn apply(&self, item: &mut Value) -> Result<(), Answer> {
        match self {
            Self::Merge(patch) => merge(item, patch),
            Self::MergeRfc(patch) => json_patch::merge(item, patch),
            Self::Operations(operations) => return operate(item, operations),
            Self::At(path, value) => set(item, path, value)?,
        }
        bounded(item)
    }
}

/// A few `copy` double an item again and again: it is measured after each operation.
fn operate(item: &mut Value, operations: &[json_patch::PatchOperation]) -> Result<(), Answer> {
    for operation in operations {
        json_patch::patch(item, std::slice::from_ref(operation)).map_err(|error| match error.kind {
            PatchErrorKind::TestFailed => Answer::error(http::StatusCode::CONFLICT, error.to_string()),
            _ => Answer::bad(format!("invalid request body: {error}")),
        })?;
        bounded(item)?;
    }
    Ok(())
}

/// Holds an item to the bounds of a body. Nothing in here recurses, as what is measured may nest too deep for that.
fn bounded(item: &Value) -> Result<(), Answer> {
    let (depth, mut left) = (Bounds::default().depth(), body::LIMIT);
    let mut open = vec![(item, 0)];
    while let Some((value, at)) = open.pop() {
        let size = match value {
            Value::String(text) => text.len(),
            Value::Array(list) => {
                open.extend(list.iter().map(|value| (value, at + 1)));
                list.len()
            }
            Value::Object(object) => {
                open.extend(object.values().map(|value| (value, at + 1)));
                object.keys().map(|name| name.len() + 4).sum()
            }
            _ => 1,
        };
        if at > depth {
            return Err(Answer::bad(format!("invalid request body: the item would nest deeper than {depth}")));
        }
        let Some(rest) = left.checked_sub(size + 1) else {
            return Err(Answer::bad(format!(
                "invalid request body: the item would be larger than {} bytes",
                body::LIMIT
            )));
        };
        left = rest;
    }
    Ok(())
}

/// `nodes` are stored as a list, whatever form they came in. A map of addresses that is merged into such a list changes
/// what it names.
fn merge(item: &mut Value, patch: &Value) {
    let nodes = |upstream: &mut Value, patch: &Value| -> Option<Value> {
        let addresses = patch.get("nodes")?.as_object()?;
        Some(merged_nodes(upstream.get("nodes")?.as_array()?, addresses))
    };
    let own = nodes(item, patch);
    let inner = match (item.get_mut("upstream"), patch.get("upstream")) {
        (Some(upstream), Some(patch)) => nodes(upstream, patch),
        _ => None,
    };
    json_patch::merge(item, patch);
    if let (Some(nodes), Some(item)) = (own, item.as_object_mut()) {
        item.insert("nodes".to_owned(), nodes);
    }
    if let (Some(nodes), Some(upstream)) = (inner, item.get_mut("upstream").and_then(Value::as_object_mut)) {
        upstream.insert("nodes".to_owned(), nodes);
    }
}

/// The list with the weights of a map; `null` takes a node out, and an address that is not there is a new node.
fn merged_nodes(nodes: &[Value], addresses: &Map<String, Value>) -> Value {
    let address = |node: &Value| {
        let host = node.get("host").and_then(Value::as_str)?;
        Some(match node.get("port").and_then(Value::as_u64) {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    };
    let mut merged = Vec::new();
    let mut known = std::collections::HashSet::new();
    for node in nodes {
        let own = address(node);
        let weight = own.as_ref().and_then(|own| addresses.get(own));
        known.extend(own);
        match (weight, node.clone()) {
            (Some(Value::Null), _) => {}
            (Some(weight), Value::Object(mut node)) => {
                node.insert("weight".to_owned(), weight.clone());
                merged.push(Value::Object(node));
            }
            (_, node) => merged.push(node),
        }
    }
    let new =
        in_order(addresses).into_iter().filter(|(address, weight)| !weight.is_null() && !known.contains(*address));
    merged.extend(new.map(|(address, weight)| node(address, weight)));
    Value::Array(merged)
}

/// The entries of a map of nodes in the order of addresses, which is the one in which a list has them.
fn in_order(addresses: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = addresses.iter().collect();
    entries.sort_unstable_by_key(|(address, _)| *address);
    entries
}

/// The node that an entry of a map means. What is no address is kept for the judge of the item to name.
fn node(address: &str, weight: &Value) -> Value {
    let end = if address.starts_with('[') { address.rfind(']').map_or(0, |at| at + 1) } else { 0 };
    let (host, port) = match address.get(end..).and_then(|rest| rest.rfind(':')) {
        Some(at) => (address.get(..end + at).unwrap_or(address), address.get(end + at + 1..)),
        None => (address, None),
    };
    let mut node = Map::new();
    node.insert("host".to_owned(), host.into());
    if let Some(port) = port {
        node.insert("port".to_owned(), port.parse::<u64>().map_or_else(|_| port.into(), Value::from));
    }
    node.insert("weight".to_owned(), weight.clone());
    Value::Object(node)
}

/// Every `nodes` of an upstream as a list, as this API always shows it; another writer of the store may use a map.
pub(super) fn list_nodes(item: &mut Value) {
    let listed = |upstream: &mut Value| {
        if let Some(nodes) = upstream.get_mut("nodes")
            && let Some(addresses) = nodes.as_object()
        {
            *nodes = in_order(addresses).into_iter().map(|(address, weight)| node(address, weight)).collect();
        }
    };
    listed(item);
    if let Some(upstream) = item.get_mut("upstream") {
        listed(upstream);
    }
}

/// Objects that are missing on the way are made; steps into lists are numbers, and one past the end adds.
fn set(item: &mut Value, path: &[String], value: &Value) -> Result<(), Answer> {
    let invalid = || Answer::bad(format!("invalid sub-path: /{}", path.join("/")));
    let Some((last, way)) = path.split_last().filter(|_| path.len() <= STEPS) else { return Err(invalid()) };
    let mut place = item;
    for step in way {
        place = match place {
            Value::Object(object) => object.entry(step.clone()).or_insert_with(|| Value::Object(Map::new())),
            Value::Array(list) => index(step).and_then(|at| list.get_mut(at)).ok_or_else(invalid)?,
            _ => return Err(invalid()),
        };
    }
    match place {
        Value::Object(object) if value.is_null() => {
            object.remove(last);
        }
        Value::Object(object) => {
            object.insert(last.clone(), value.clone());
        }
        Value::Array(list) => {
            let (at, length) = (index(last).ok_or_else(invalid)?, list.len());
            match list.get_mut(at) {
                Some(_) if value.is_null() => {
                    list.remove(at);
                }
                Some(member) => *member = value.clone(),
                None if at == length && !value.is_null() => list.push(value.clone()),
                None => return Err(invalid()),
            }
        }
        _ => return Err(invalid()),
    }
    Ok(())
}

fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    step.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn patched(content_type: &str, item: &Value, patch: Value) -> Result<Value, u16> {
        let mut item = item.clone();
        let patch = Patch::read(content_type, patch).map_err(|answer| answer.status.as_u16())?;
        patch.apply(&mut item).map_err(|answer| answer.status.as_u16())?;
        Ok(item)
    }

    #[test]
    fn merging() {
        for (item, patch, expected) in [
            (json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})),
            (json!({"a": {"x": 1, "y": 2}}), json!({"a": {"x": null, "z": 3}}), json!({"a": {"y": 2, "z": 3}})),
            (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            (json!({"a": 1}), json!({"a": {"b": {"c": null, "d": 1}}}), json!({"a": {"b": {"d": 1}}})),
            (json!({"a": {"b": 1}}), json!({"a": 2}), json!({"a": 2})),
            (json!({"a": 1}), json!({}), json!({"a": 1})),
        ] {
            assert_eq!(patched("application/json", &item, patch.clone()), Ok(expected.clone()), "{item} {patch}");
            assert_eq!(patched("application/merge-patch+json", &item, patch.clone()), Ok(expected), "{item} {patch}");
        }
        assert_eq!(patched("application/json", &json!({}), json!([])), Err(400));
        assert_eq!(patched("application/merge-patch+json", &json!({}), json!("x")), Err(400));
    }

    #[test]
    fn a_map_of_nodes_changes_what_it_names() {
        let a = json!({"host": "a", "port": 80, "weight": 1, "priority": 2});
        let upstream = json!({"nodes": [a, {"host": "[::1]", "port": 81, "weight": 1}]});
        for (patch, expected) in [
            (
                json!({"a:80": 5}),
                json!([{"host": "a", "port": 80, "weight": 5, "priority": 2}, {"host": "[::1]", "port": 81, "weight": 1}]),
            ),
            (json!({"[::1]:81": null}), json!([a])),
            (json!({"b:82": 3, "[::1]:81": null}), json!([a, {"host": "b", "port": 82, "weight": 3}])),
            (json!({"c": 3, "a:80": null, "[::1]:81": null}), json!([{"host": "c", "weight": 3}])),
            (json!({"none:1": null}), upstream["nodes"].clone()),
            (json!([{"host": "d", "weight": 1}]), json!([{"host": "d", "weight": 1}])),
        ] {
            let own = patched("application/json", &upstream, json!({"nodes": patch})).unwrap();
            assert_eq!(own["nodes"], expected, "{patch}");
            let route = json!({"uri": "/", "upstream": upstream});
            let inner = patched("application/json", &route, json!({"upstream": {"nodes": patch}})).unwrap();
            assert_eq!(inner, json!({"uri": "/", "upstream": {"nodes": expected}}), "{patch}");
        }
    }

    #[test]
    fn maps_of_nodes_are_shown_as_lists() {
        let mut route = json!({"upstream": {"nodes": {"a:80": 1, "[::1]": 2, "x:y": 3}}, "nodes": [1]});
        list_nodes(&mut route);
        let nodes = json!([{"host": "[::1]", "weight": 2}, {"host": "a", "port": 80, "weight": 1}, {"host": "x", "port": "y", "weight": 3}]);
        assert_eq!(route, json!({"upstream": {"nodes": nodes}, "nodes": [1]}));
    }

    #[test]
    fn sub_paths() {
        let item = json!({"a": {"b": [1, {"c": 2}]}, "s": "x"});
        let at = |path: &str, value: Value| {
            let mut item = item.clone();
            let path = path.split('/').map(str::to_owned).collect();
            Patch::At(path, value).apply(&mut item).map(|()| item).map_err(|answer| answer.status.as_u16())
        };
        for (path, value, expected) in [
            ("s", json!("y"), Ok(json!({"a": {"b": [1, {"c": 2}]}, "s": "y"}))),
            ("n/e/w", json!(1), Ok(json!({"a": {"b": [1, {"c": 2}]}, "s": "x", "n": {"e": {"w": 1}}}))),
            ("a/b/1/c", json!(3), Ok(json!({"a": {"b": [1, {"c": 3}]}, "s": "x"}))),
            ("a/b/0", json!(null), Ok(json!({"a": {"b": [{"c": 2}]}, "s": "x"}))),
            ("a/b/2", json!(5), Ok(json!({"a": {"b": [1, {"c": 2}, 5]}, "s": "x"}))),
            ("a", json!(null), Ok(json!({"s": "x"}))),
            ("s/t", json!(1), Err(400)),
            ("a/b/3", json!(1), Err(400)),
            ("a/b/2", json!(null), Err(400)),
            ("a/b/01", json!(1), Err(400)),
            ("a/b/x", json!(1), Err(400)),
            ("a/b/9/c", json!(1), Err(400)),
        ] {
            assert_eq!(at(path, value), expected, "{path}");
        }
    }

    #[test]
    fn json_patch() {
        let item = json!({"a": 1, "b": [1, 2]});
        let kind = "application/json-patch+json";
        let operations = json!([{"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/b/0"}]);
        assert_eq!(patched(kind, &item, operations), Ok(json!({"a": 1, "b": [2]})));
        assert_eq!(patched(kind, &item, json!([{"op": "test", "path": "/a", "value": 2}])), Err(409));
        assert_eq!(patched(kind, &item, json!([{"op": "remove", "path": "/c"}])), Err(400));
        assert_eq!(patched(kind, &item, json!([{"op": "burn", "path": "/a"}])), Err(400));
        assert_eq!(patched(kind, &item, json!({"a": 2})), Err(400));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..4_i64).prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-d]", value(), 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    /// What a merged item has to look like, said without walking both at once.
    fn agrees(merged: &Value, item: &Value, patch: &Value) -> bool {
        let (Some(merged), Some(patch)) = (merged.as_object(), patch.as_object()) else { return merged == patch };
        let untouched = item.as_object().into_iter().flatten().filter(|(name, _)| !patch.contains_key(*name));
        let given = patch.iter().filter(|(_, value)| !value.is_null());
        merged.len() == untouched.clone().count() + given.clone().count()
            && untouched.into_iter().all(|(name, value)| merged.get(name) == Some(value))
            && given.into_iter().all(|(name, value)| {
                let before = item.get(name).unwrap_or(&Value::Null);
                merged.get(name).is_some_and(|merged| agrees(merged, before, value))
            })
    }

    proptest! {
        #[test]
        fn a_merge_changes_what_it_names_and_nothing_else(item in object(), patch in object()) {
            let merged = patched("application/json", &item, patch.clone()).unwrap();
            prop_assert!(agrees(&merged, &item, &patch), "{item} + {patch} = {merged}");
            prop_assert_eq!(patched("application/json", &merged, patch), Ok(merged), "twice is as good as once");
        }
    }
}
