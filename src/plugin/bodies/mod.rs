//! `bodies`: how plugins read whole bodies, within the limits of the gateway.
//!
//! A plugin asks its context for [`Bodies`](crate::plugin::BuildContext::bodies) when it is built and keeps it. What it collects
//! counts against the room that all plugins of the gateway have together (`limits.buffer_total_bytes`, security.md LIM-04) until
//! the last clone of the bytes is gone; what it parses is bounded in depth and number (`limits.max_parse_depth`,
//! `limits.max_parse_nodes`, LIM-15), and a name that stands twice in one object is refused, because two readers of such a
//! document see different things.
//!
//! # Example
//! ```
//! # use tollgate::Body;
//! # use tollgate::plugin::bodies::{Bodies, Misread};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let bodies = Bodies::default();
//! let bytes = bodies.collect(Body::from(r#"{"a": 1, "a": 2}"#), 1024).await.unwrap();
//! assert_eq!(bodies.json(&bytes), Err(Misread::Twice("a".to_owned())));
//! # });
//! ```
mod collect;
mod form;
mod json;
mod room;

use std::sync::Arc;

pub use collect::Unread;
pub(crate) use room::Room;

use crate::model::Limits;

/// Reads bodies for plugins. Clones share the room.
#[derive(Clone, Debug)]
pub struct Bodies {
    room: Arc<Room>,
    /// Bytes that a plugin without a limit of its own collects of one body (`limits.buffer_bytes`).
    most: usize,
    depth: usize,
    nodes: usize,
    unpacked: u64,
    ratio: u32,
}

/// Why a text is not taken as data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misread {
    /// It is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// Values stand too deep inside one another.
    #[error("values stand more than {0} deep inside one another")]
    TooDeep(usize),
    /// It has too many values.
    #[error("there are more than {0} values")]
    TooMany(usize),
    /// One name stands twice in an object.
    #[error("`{0}` stands twice in one object")]
    Twice(String),
}

impl Bodies {
    pub(crate) fn new(room: Arc<Room>, limits: &Limits) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            room,
            most: size(limits.buffer_bytes),
            depth: limits.max_parse_depth as usize,
            nodes: limits.max_parse_nodes as usize,
            unpacked: limits.decompressed_bytes,
            ratio: limits.max_decompression_ratio,
        }
    }

    /// The limits that it is made of.
    pub(crate) fn limits(limits: &Limits) -> impl PartialEq + use<> {
        let parsing = (limits.max_parse_depth, limits.max_parse_nodes);
        (limits.buffer_bytes, limits.decompressed_bytes, limits.max_decompression_ratio, parsing)
    }

    /// Bytes that a plugin without a limit of its own collects of one body (`limits.buffer_bytes`).
    pub fn most(&self) -> usize {
        self.most
    }

    /// What may come out of a packed body of so many bytes, in bytes (`limits.decompressed_bytes`,
    /// `limits.max_decompression_ratio`; security.md LIM-14).
    pub fn unpacked(&self, packed: usize) -> usize {
        let by_ratio = (packed as u64).saturating_mul(self.ratio.into());
        usize::try_from(by_ratio.min(self.unpacked)).unwrap_or(usize::MAX)
    }
}

impl Default for Bodies {
    /// Within the default [`Limits`], with a room of its own.
    fn default() -> Self {
        let limits = Limits::default();
        Self::new(Arc::new(Room::new(limits.buffer_total_bytes)), &limits)
    }
}
