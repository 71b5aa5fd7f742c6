//! The items of a declarative document, by the paths that the Admin API has for them.
use serde_json::{Map, Value};
use tollgate::BoxError;

/// The kinds in the order in which they can be written: what others refer to comes first.
pub(super) const KINDS: [&str; 12] = [
    "secrets",
    "protos",
    "ssls",
    "upstreams",
    "services",
    "plugin_configs",
    "consumer_groups",
    "consumers",
    "plugin_metadata",
    "global_rules",
    "routes",
    "stream_routes",
];

/// One item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// `routes/1`, `consumers/jack/credentials/one`.
    pub(super) path: String,
    /// Without its id.
    pub(super) value: Value,
}

/// The document without the settings of a process, which no store has.
pub(super) fn resources(document: &Value) -> Value {
    let mut document = document.clone();
    if let Value::Object(document) = &mut document {
        document.remove("tollgate");
    }
    document
}

/// All items, those first that others refer to.
pub(super) fn of(document: &Value) -> Result<Vec<Item>, BoxError> {
    let mut items = Vec::new();
    for kind in KINDS {
        let list = document.get(kind).and_then(Value::as_array).into_iter().flatten();
        for (index, value) in list.enumerate() {
            items.push(item(kind, index, value)?);
        }
    }
    // A credential comes after its consumer, whatever the order of the document.
    items.sort_by_key(|item| (rank(&item.path), item.path.contains("/credentials/")));
    Ok(items)
}

/// Where the kind of a path stands in [`KINDS`].
pub(super) fn rank(path: &str) -> usize {
    let kind = path.split('/').next().unwrap_or_default();
    KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len())
}

fn item(kind: &str, index: usize, value: &Value) -> Result<Item, BoxError> {
    let id = match (value.get("id"), value.get("username")) {
        (_, Some(Value::String(name))) if kind == "consumers" => Some(name.clone()),
        (Some(Value::String(id)), _) => Some(id.clone()),
        (Some(Value::Number(id)), _) => Some(id.to_string()),
        _ => None,
    };
    let id = id.ok_or_else(|| format!("{kind}[{index}] has no id: in a store every item needs one"))?;
    Ok(Item { path: format!("{kind}/{id}"), value: bare(value) })
}

/// An item without what a store adds: its id and times. Nodes in the form of a map become a list, as stores have them.
pub(super) fn bare(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let mut fields = fields.clone();
    for name in ["id", "create_time", "update_time"] {
        fields.remove(name);
    }
    listed(&mut fields);
    if let Some(Value::Object(upstream)) = fields.get_mut("upstream") {
        listed(upstream);
    }
    Value::Object(fields)
}

fn listed(upstream: &mut Map<String, Value>) {
    let Some(Value::Object(nodes)) = upstream.get("nodes") else { return };
    let node = |(address, weight): (&String, &Value)| {
        let mut node = Map::new();
        let split = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, port) = split.map_or((address.as_str(), None), |(host, port)| (host, Some(port)));
        node.insert("host".to_owned(), Value::from(host));
        node.extend(port.map(|port| ("port".to_owned(), Value::from(port))));
        node.insert("weight".to_owned(), weight.clone());
        Value::Object(node)
    };
    let nodes = nodes.iter().map(node).collect();
    upstream.insert("nodes".to_owned(), nodes);
}
