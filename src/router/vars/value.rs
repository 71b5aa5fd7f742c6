//! What a request knows about itself: variables and their values.
use std::borrow::Cow;

use super::{VarName, parse_number};

/// What a request knows about itself, asked by name.
pub trait Variables {
    /// The value of a variable; `None` when it is missing.
    fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>>;
}

/// No variables at all: every one is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn get<'a>(&'a self, _: &VarName) -> Option<Value<'a>> {
        None
    }
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Bytes as they came; headers and decoded paths need not be UTF-8.
    Text(Cow<'a, [u8]>),
    /// A number, such as a port or a size.
    Number(f64),
    /// `true` for a query argument without `=`.
    Bool(bool),
    /// Several values, such as those that a JSON path with a wildcard finds.
    List(Vec<Value<'a>>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(text: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text.into_bytes()))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl Value<'_> {
    /// The value as a number: a number itself, or text that [`parse_number`] takes.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => parse_number(text),
            Self::Bool(_) | Self::List(_) => None,
        }
    }
}
