//! Why no new body was made.

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("body decode: {0}")]
    Decode(String),
    #[error("template rendering: {0}")]
    Render(String),
    /// It took more steps than there were for it.
    #[error("template rendering: {0}")]
    Steps(String),
    /// Plugins hold as many bytes as they may together.
    #[error("there is no room for the new body")]
    NoRoom,
}
