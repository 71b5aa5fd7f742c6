//! [`Bounds`] of a document.

/// How large a document may be (security.md CFG-07).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Bytes of the file. Default 67108864 (64 MiB).
    pub document_bytes: u64,
    /// Arrays and objects inside each other, at most 120. Default 64.
    pub nesting: usize,
    /// Items in one list, such as routes. Default 1000000.
    pub items: usize,
    /// YAML nodes that aliases may make again, all together; 0 for no aliases. Default 100000.
    pub alias_nodes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { document_bytes: 64 << 20, nesting: 64, items: 1_000_000, alias_nodes: 100_000 }
    }
}

impl Bounds {
    /// What the parsers below can take without overflowing a thread's stack.
    const DEEPEST: usize = 120;

    /// [`Bounds::nesting`], as far as it is possible.
    pub(crate) fn depth(&self) -> usize {
        self.nesting.min(Self::DEEPEST)
    }
}
