//! [`ProtoSpec`]: protobuf definitions.
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check::Described;
use super::check::shape::{CREATED, DESC, Field, ID, LABELS, NAME, Struct, UPDATED, text};
use super::{Id, Kind, Labels, Resource};

/// A protobuf definition, which grpc-transcode refers to (model.md §6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ProtoSpec {
    /// Its id.
    pub id: Id,
    /// A name for people, 1–256 characters. If it ends with `.proto`, others import this one by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description, up to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Free labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The text of a `.proto` file, or a descriptor set in base64; 1 byte to 1 MiB. Required.
    pub content: Arc<str>,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

impl Default for ProtoSpec {
    fn default() -> Self {
        Self {
            id: Id::default(),
            name: None,
            desc: None,
            labels: Labels::new(),
            content: "".into(),
            create_time: None,
            update_time: None,
        }
    }
}

impl Resource for ProtoSpec {
    const KIND: Kind = Kind::Proto;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for ProtoSpec {
    const SHAPE: &'static Struct =
        &Struct::new(&[ID, NAME, DESC, LABELS, Field::required("content", text(1 << 20)), CREATED, UPDATED]);

    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}
