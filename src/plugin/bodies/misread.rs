//! [`Misread`].
use std::fmt::{self, Write as _};

/// Why a text is not taken as data. Shown, it is short, whatever the text was: names and reasons are cut off, and
/// control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misread {
    /// It is not what it should be.
    #[error("{}", Cut(.0))]
    Malformed(String),
    /// Values stand too deep inside one another.
    #[error("values stand more than {0} deep inside one another")]
    TooDeep(usize),
    /// It has too many values.
    #[error("there are more than {0} values")]
    TooMany(usize),
    /// One name stands twice in an object.
    #[error("`{}` stands twice in one object", Cut(.0))]
    Twice(String),
}

/// How many characters are shown of what may be out of a body.
const SHOWN: usize = 300;

/// A text that may be out of a body, for answers and logs.
struct Cut<'a>(&'a str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, character) in self.0.chars().enumerate() {
            match character {
                _ if at == SHOWN => return f.write_char('…'),
                control if control.is_control() => write!(f, "{}", control.escape_default())?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_body_is_short_and_one_line() {
        let long = "ü".repeat(1 << 20);
        for told in [Misread::Twice(long.clone()), Misread::Malformed(long)] {
            assert!(told.to_string().chars().count() < 350);
        }
        assert_eq!(Misread::Twice("a\nb".to_owned()).to_string(), "`a\\nb` stands twice in one object");
        assert_eq!(Misread::Malformed("no JSON".to_owned()).to_string(), "no JSON");
    }
}
