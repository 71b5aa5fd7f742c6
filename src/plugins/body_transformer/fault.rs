//! Why no new body was made.

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("body decode: {0}")]
    Decode(String),
    #[error("template rendering: {0}")]
    Render(String),
}
