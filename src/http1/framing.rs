//! How the end of a body is found (RFC 9112 §6.3).

/// How a message's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body, and no field that says so.
    None,
    /// So many bytes, told by `Content-Length`.
    Length(u64),
    /// Chunks (RFC 9112 §7.1).
    Chunked,
    /// All until the connection ends; responses only.
    Close,
}

impl Framing {
    /// Whether no byte of a body follows the head.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}
