//! YAML documents, version 1.2: `yes` and `on` are strings. All that depends on the YAML parser is in this file.
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Error as Refusal, Options, Spanned, with_deserializer_from_str_with_options};

use super::Syntax;
use super::bounds::Bounds;
use super::lines::{Node, Tree};
use super::strict::Strict;

/// Parses one document within `bounds`.
pub(crate) fn parse(text: &str, bounds: &Bounds) -> Result<Value, Syntax> {
    if is_blank(text) {
        return Ok(Value::Null);
    }
    let depth = bounds.depth();
    with_deserializer_from_str_with_options(text, options(bounds), |parser| Strict { depth }.deserialize(parser))
        .map_err(|error| syntax(&error))
}

/// Where each value of a document stands. Only for text that [`parse`] took.
pub(crate) fn lines(text: &str, bounds: &Bounds) -> Option<Tree> {
    let parsed =
        with_deserializer_from_str_with_options(text, options(bounds), |parser| Spanned::<Where>::deserialize(parser));
    parsed.ok().map(Tree::from)
}

fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---" || line == "...")
}

fn options(bounds: &Bounds) -> Options {
    // What the bytes of the file bound already needs no second bound.
    let bytes = usize::try_from(bounds.document_bytes).unwrap_or(usize::MAX);
    let budget = serde_saphyr::budget! {
        max_depth: bounds.depth(),
        flow_nesting_limit: bounds.depth(),
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_total_scalar_bytes: bytes.saturating_mul(2),
        max_documents: 1,
        max_aliases: bounds.alias_nodes,
        max_anchors: bounds.alias_nodes,
        max_recorded_anchor_events: bounds.alias_nodes.saturating_mul(10),
        enforce_alias_anchor_ratio: false,
    };
    serde_saphyr::options! {
        budget: budget,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: bounds.alias_nodes,
            max_replay_stack_depth: 16,
        },
        strict_booleans: true,
        // A quoted line may hold a secret.
        with_snippet: false,
    }
}

fn syntax(error: &Refusal) -> Syntax {
    let line = error.location().and_then(|location| u32::try_from(location.line()).ok()).filter(|line| *line > 0);
    let message = match error.without_snippet() {
        Refusal::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` stands twice in one object"),
        // The place stands in the text already; it is told apart here.
        other => {
            let text = other.to_string();
            text.split_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned()
        }
    };
    Syntax { line, message }
}

/// The places of a value and of what is in it.
enum Where {
    Leaf,
    List(Vec<Spanned<Self>>),
    Map(Vec<(String, Spanned<Self>)>),
}

impl From<Spanned<Where>> for Tree {
    fn from(spanned: Spanned<Where>) -> Self {
        let line = u32::try_from(spanned.referenced.line()).unwrap_or(0);
        let node = match spanned.value {
            Where::Leaf => Node::Leaf,
            Where::List(list) => Node::List(list.into_iter().map(Self::from).collect()),
            Where::Map(map) => Node::Map(map.into_iter().map(|(key, value)| (key, Self::from(value))).collect()),
        };
        Self { line, node }
    }
}

impl<'de> Deserialize<'de> for Where {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Places;
        impl<'de> Visitor<'de> for Places {
            type Value = Where;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E: Error>(self) -> Result<Where, E> {
                Ok(Where::Leaf)
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Where, E> {
                Ok(Where::Leaf)
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Where, E> {
                Ok(Where::Leaf)
            }
            fn visit_u64<E: Error>(self, _: u64) -> Result<Where, E> {
                Ok(Where::Leaf)
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Where, E> {
                Ok(Where::Leaf)
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<Where, E> {
                Ok(Where::Leaf)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Where, D::Error> {
                IgnoredAny::deserialize(deserializer).map(|_| Where::Leaf)
            }
            fn visit_none<E: Error>(self) -> Result<Where, E> {
                Ok(Where::Leaf)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Where, A::Error> {
                let mut places = Vec::new();
                while let Some(place) = list.next_element()? {
                    places.push(place);
                }
                Ok(Where::List(places))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Where, A::Error> {
                let mut places = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    places.push(entry);
                }
                Ok(Where::Map(places))
            }
        }
        deserializer.deserialize_any(Places)
    }
}
