//! [`Syntax`]: why a text is none.

/// What is wrong with a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) line: Option<u32>,
    pub(crate) message: String,
}
