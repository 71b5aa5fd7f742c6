//! The JSON Schema of each kind of resource.
use super::answer::Answer;
use super::api::Call;
use crate::model::{Kind, schema};

/// Kinds by the names that paths have for them.
const NAMES: [(&str, Kind); 14] = [
    ("route", Kind::Route),
    ("service", Kind::Service),
    ("upstream", Kind::Upstream),
    ("consumer", Kind::Consumer),
    ("credential", Kind::Credential),
    ("consumer_group", Kind::ConsumerGroup),
    ("plugin_config", Kind::PluginConfig),
    ("global_rule", Kind::GlobalRule),
    ("plugin_metadata", Kind::PluginMetadata),
    ("ssl", Kind::Ssl),
    ("secret", Kind::Secret),
    ("proto", Kind::Proto),
    ("stream_route", Kind::StreamRoute),
    ("plugins", Kind::Plugin),
];

/// The kind of that name, in the singular or in the plural.
///
/// # Errors
/// 400 for a name that is none.
pub(super) fn kind(name: &str) -> Result<Kind, Answer> {
    let is_it = |known: &str| known == name || name.strip_suffix('s') == Some(known);
    let found = NAMES.into_iter().find(|(known, _)| is_it(known));
    found.map(|(_, kind)| kind).ok_or_else(|| Answer::bad(format!("not found schema: {name}")))
}

/// The schema of the kind that the path names.
pub(super) fn of_kind(call: &Call) -> Result<Answer, Answer> {
    kind(call.segment(0)).map(|kind| Answer::ok(schema(kind)))
}
