//! [`Misread`].
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
