//! [`Bodies`].
use std::sync::Arc;

use super::room::Room;
use crate::model::Limits;
use crate::plugin::{BuildContext, Caveat};

/// Reads bodies for plugins. Clones share the room.
#[derive(Clone, Debug)]
pub struct Bodies {
    pub(super) room: Arc<Room>,
    /// Bytes that a plugin without a limit of its own collects of one body (`limits.buffer_bytes`).
    most: usize,
    pub(super) depth: usize,
    pub(super) nodes: usize,
    unpacked: u64,
    ratio: u32,
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

    /// Has the load tell of a block that takes longer bodies into memory than plugins do unasked (security.md §1.5,
    /// LIM-04).
    pub(crate) fn doubt_size(&self, cx: &BuildContext<'_>, field: &str, most: usize) {
        if most > self.most {
            let message = format!(
                "is {most}, more than `limits.buffer_bytes`: few clients that send slowly can fill what plugins may hold of \
                 bodies together (security.md LIM-04)"
            );
            let mend = format!("write the longest body in bytes that the service takes, such as {}", self.most);
            cx.doubt(Caveat::new(field, message, mend));
        }
    }

    /// How many values or fields one body may have (`limits.max_parse_nodes`).
    pub fn most_values(&self) -> usize {
        self.nodes
    }

    /// How deep values may stand inside one another (`limits.max_parse_depth`).
    pub fn most_depth(&self) -> usize {
        self.depth
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
