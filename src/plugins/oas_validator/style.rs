//! How values are written where there is no JSON (OpenAPI 3.1 §4.8.12, "Style Values").
use std::borrow::Cow;

use serde_json::{Map, Value};

use super::shape::Shape;

/// A style of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `a,b`
    Simple,
    /// `.a.b`
    Label,
    /// `;name=a,b`
    Matrix,
    /// `name=a,b`, or `name=a&name=b`
    Form,
    /// `name=a%20b`
    SpaceDelimited,
    /// `name=a|b`
    PipeDelimited,
    /// `name[member]=a`
    DeepObject,
}

/// How one place of a request encodes texts.
pub(super) type Decode = fn(&str) -> Cow<'_, str>;

impl Style {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "simple" => Self::Simple,
            "label" => Self::Label,
            "matrix" => Self::Matrix,
            "form" => Self::Form,
            "spaceDelimited" => Self::SpaceDelimited,
            "pipeDelimited" => Self::PipeDelimited,
            "deepObject" => Self::DeepObject,
            _ => return None,
        })
    }

    /// Splits a text at what separates items.
    pub(super) fn split(self, text: &str) -> Vec<&str> {
        match self {
            Self::SpaceDelimited => text.split('+').flat_map(|part| part.split("%20")).collect(),
            Self::PipeDelimited => {
                let parts = text.split('|').flat_map(|part| part.split("%7C"));
                parts.flat_map(|part| part.split("%7c")).collect()
            }
            _ => text.split(',').collect(),
        }
    }
}

/// An array out of the texts of its items.
pub(super) fn array(texts: &[&str], shape: &Shape, decode: Decode) -> Value {
    texts.iter().map(|text| shape.item().value(&decode(text))).collect()
}

/// An object out of names and texts in turn; `None` for a name without a text.
pub(super) fn object_in_turn(texts: &[&str], shape: &Shape, decode: Decode) -> Option<Value> {
    if !texts.len().is_multiple_of(2) {
        return None;
    }
    let pairs = texts.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
    object(pairs, shape, decode)
}

/// An object out of texts `name=text`.
pub(super) fn object_of_pairs(texts: &[&str], shape: &Shape, decode: Decode) -> Option<Value> {
    let pairs: Option<Vec<_>> = texts.iter().map(|text| text.split_once('=')).collect();
    object(pairs?, shape, decode)
}

/// An object; `None` when a name stands there twice.
fn object<'t>(pairs: impl IntoIterator<Item = (&'t str, &'t str)>, shape: &Shape, decode: Decode) -> Option<Value> {
    let mut object = Map::new();
    for (name, text) in pairs {
        let name = decode(name).into_owned();
        let value = shape.member(&name).value(&decode(text));
        if object.insert(name, value).is_some() {
            return None;
        }
    }
    Some(object.into())
}
