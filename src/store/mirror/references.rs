//! What an item refers to.
use serde_json::Value;

use crate::model::{Id, Kind};
use crate::store::{Entries, Key};

/// Fields, and what they refer to.
const FIELDS: [(&str, Kind); 5] = [
    ("/upstream_id", Kind::Upstream),
    ("/service_id", Kind::Service),
    ("/plugin_config_id", Kind::PluginConfig),
    ("/group_id", Kind::ConsumerGroup),
    ("/upstream/tls/client_cert_id", Kind::Ssl),
];

/// Whether everything that an item names in its own fields is there. What plugins name is not looked at: a batch is only
/// waited for.
pub(super) fn resolve(key: &Key, value: &Value, entries: &Entries) -> bool {
    let is_there = |kind: Kind, id: &str| Key::new(kind, id).is_none_or(|key| entries.get(key.as_str()).is_some());
    let owner = match key.kind() {
        Kind::Credential => key.id().split_once('/').is_none_or(|(owner, _)| is_there(Kind::Consumer, owner)),
        _ => true,
    };
    owner
        && FIELDS.iter().all(|(field, kind)| match value.pointer(field) {
            Some(Value::String(id)) => is_there(*kind, id),
            Some(Value::Number(id)) => id.as_u64().is_none_or(|id| is_there(*kind, Id::from(id).as_str())),
            _ => true,
        })
}
