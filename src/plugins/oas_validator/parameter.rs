//! Parameters: where they stand, how they are written, and what they may be.
use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderName;
use serde_json::{Map, Value};

use super::sent::{Sent, argument};
use super::shape::Shape;
use super::style::{Decode, Style, array, object_in_turn, object_of_pairs};
use crate::plugin::bodies::Bodies;
use crate::plugins::json_schema::Schema;
use crate::router::percent_decode;

/// One parameter of an operation.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) required: bool,
    /// Whether an empty text is taken without a look at the schema.
    pub(super) allow_empty: bool,
    pub(super) written: Written,
    pub(super) schema: Option<Arc<Schema>>,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header(HeaderName),
    Cookie,
}

/// How it is written.
#[derive(Debug)]
pub(super) enum Written {
    /// As JSON.
    Json,
    /// As a text of another media type.
    Text,
    /// By style.
    Styled { style: Style, explode: bool, shape: Shape },
}

const SEVERAL: &str = "stands there several times";
const STYLE: &str = "is not written in its style";

impl Place {
    fn label(&self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header(_) => "header",
            Self::Cookie => "cookie",
        }
    }

    fn decode(&self) -> Decode {
        match self {
            Self::Path => |text| match percent_decode(text.as_bytes()) {
                Cow::Borrowed(_) => Cow::Borrowed(text),
                Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            },
            Self::Query => argument,
            Self::Header(_) => |text| Cow::Borrowed(text.trim()),
            Self::Cookie => plain,
        }
    }
}

impl Parameter {
    /// Judges what was sent of it.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub(super) fn judge(&self, sent: &Sent<'_, '_>, bodies: &Bodies, others: &[Parameter]) -> Result<(), String> {
        let told = |reason: &str| format!("{} parameter `{}`: {reason}", self.place.label(), self.name);
        let found = self.read(sent, bodies, others).map_err(|reason| told(&reason))?;
        match (found, &self.schema) {
            (None, _) if self.required => Err(told("is missing")),
            (Some(Value::String(text)), _) if text.is_empty() && self.allow_empty => Ok(()),
            (Some(value), Some(schema)) => schema.judge(&value).map_err(|reason| told(&reason)),
            _ => Ok(()),
        }
    }

    fn read(
        &self,
        sent: &Sent<'_, '_>,
        bodies: &Bodies,
        others: &[Parameter],
    ) -> Result<Option<Value>, Cow<'static, str>> {
        let Written::Styled { style, explode, shape } = &self.written else {
            let Some(text) = self.only(&self.texts(sent)).map_err(Cow::Borrowed)? else { return Ok(None) };
            let text = self.place.decode()(&text);
            return match self.written {
                Written::Json => bodies.json(text.as_bytes()).map(Some).map_err(|fault| fault.to_string().into()),
                _ => Ok(Some(text.as_ref().into())),
            };
        };
        if self.place == Place::Query && *style != Style::DeepObject && self.is_bracketed(sent, others) {
            return Err(Cow::Borrowed(SEVERAL));
        }
        let read = match (&self.place, shape.is_object()) {
            (Place::Query, true) if *style == Style::DeepObject => self.deep_object(sent, shape, others),
            (Place::Query | Place::Cookie, true) if *explode => self.exploded_object(sent, shape, others),
            _ => self.styled(&self.texts(sent), *style, *explode, shape),
        };
        read.map_err(Cow::Borrowed)
    }

    /// The texts of that name.
    fn texts<'s>(&self, sent: &'s Sent<'_, '_>) -> Vec<Cow<'s, str>> {
        match &self.place {
            Place::Path => {
                let own = sent.captures.iter().filter(|(name, _)| *name == self.name);
                own.map(|(_, text)| Cow::Borrowed(*text)).collect()
            }
            Place::Query => {
                let own = sent.arguments().iter().filter(|(name, _)| *name == self.name);
                own.map(|(_, text)| Cow::Borrowed(*text)).collect()
            }
            Place::Header(name) => {
                sent.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect()
            }
            Place::Cookie => {
                let own = sent.cookies().iter().filter(|(name, _)| *name == self.name);
                own.map(|(_, text)| Cow::Borrowed(&**text)).collect()
            }
        }
    }

    fn only<'t>(&self, texts: &[Cow<'t, str>]) -> Result<Option<Cow<'t, str>>, &'static str> {
        match texts {
            [] => Ok(None),
            [text] => Ok(Some(text.clone())),
            // who takes the first and who takes the last would see two different requests
            _ => Err(SEVERAL),
        }
    }

    /// A value that stands in texts of its own name.
    fn styled(
        &self,
        texts: &[Cow<'_, str>],
        style: Style,
        explode: bool,
        shape: &Shape,
    ) -> Result<Option<Value>, &'static str> {
        let decode = self.place.decode();
        let repeats = match (&self.place, style) {
            (Place::Query, Style::Form | Style::SpaceDelimited | Style::PipeDelimited) => explode,
            // several lines of a field are one list (RFC 9110 §5.3)
            (Place::Header(_), _) => true,
            _ => false,
        };
        if shape.items.is_some() && repeats && !texts.is_empty() {
            let split = |text| if matches!(self.place, Place::Header(_)) { style.split(text) } else { vec![text] };
            let items: Vec<&str> = texts.iter().flat_map(|text| split(&**text)).collect();
            if shape.is_array(items.len()) {
                return Ok(Some(array(&items, shape, decode)));
            }
        }
        let Some(text) = self.only(texts)? else { return Ok(None) };
        let (text, separator) = match style {
            Style::Label => (text.strip_prefix('.').ok_or(STYLE)?, if explode { '.' } else { ',' }),
            Style::Matrix => (text.strip_prefix(';').ok_or(STYLE)?, if explode { ';' } else { ',' }),
            _ => (&*text, ','),
        };
        // what a matrix parameter says its name with
        let unnamed = |text| Self::unnamed(text, &self.name).ok_or(STYLE);
        if shape.is_object() {
            let named = style == Style::Matrix && !explode;
            let text = if named { unnamed(text)? } else { text };
            let parts = if separator == ',' { style.split(text) } else { text.split(separator).collect() };
            let object =
                if explode { object_of_pairs(&parts, shape, decode) } else { object_in_turn(&parts, shape, decode) };
            return object.map(Some).ok_or(STYLE);
        }
        if style == Style::Matrix && explode && shape.items.is_some() {
            let items: Vec<&str> = text.split(';').map(unnamed).collect::<Result<_, _>>()?;
            return Ok(Some(array(&items, shape, decode)));
        }
        let text = if style == Style::Matrix { unnamed(text)? } else { text };
        let parts = if separator == ',' { style.split(text) } else { text.split(separator).collect() };
        Ok(Some(match shape.is_array(parts.len()) {
            true => array(&parts, shape, decode),
            false => shape.value(&decode(text)),
        }))
    }

    /// `name=text` without the name; an empty text may leave out `=`.
    fn unnamed<'t>(text: &'t str, name: &str) -> Option<&'t str> {
        let rest = text.strip_prefix(name)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('=') }
    }

    /// Whether an argument `name[…]` stands there that is no parameter itself: many readers take it for one of this name.
    fn is_bracketed(&self, sent: &Sent<'_, '_>, others: &[Parameter]) -> bool {
        sent.arguments().iter().any(|(name, _)| self.brackets(name, others).is_some())
    }

    /// What stands behind the name in an argument `name[…]` that is no parameter itself.
    fn brackets<'n>(&self, name: &'n str, others: &[Parameter]) -> Option<&'n str> {
        let rest = name.strip_prefix(self.name.as_str())?.strip_prefix('[')?;
        (!others.iter().any(|other| other.place == Place::Query && other.name == name)).then_some(rest)
    }

    /// An object whose members are arguments `name[member]`.
    fn deep_object(
        &self,
        sent: &Sent<'_, '_>,
        shape: &Shape,
        others: &[Parameter],
    ) -> Result<Option<Value>, &'static str> {
        let mut object = Map::new();
        for (name, text) in sent.arguments() {
            if *name == self.name {
                return Err(STYLE);
            }
            let Some(rest) = self.brackets(name, others) else { continue };
            // readers make objects inside of objects of further brackets, which no schema here knows of
            let member = rest.strip_suffix(']').filter(|member| !member.contains(['[', ']'])).ok_or(STYLE)?;
            add(&mut object, member, text, shape, argument)?;
        }
        Ok((!object.is_empty()).then(|| object.into()))
    }

    /// An object whose members are arguments of their own. Those that its schema does not name are its own only when it says
    /// something of further members, and then unless another parameter has that name.
    fn exploded_object(
        &self,
        sent: &Sent<'_, '_>,
        shape: &Shape,
        others: &[Parameter],
    ) -> Result<Option<Value>, &'static str> {
        let mut object = Map::new();
        let Some(members) = &shape.members else { return Ok(None) };
        let taken = |name: &str| others.iter().any(|other| other.place == self.place && other.name == name);
        let is_own = |name: &str| members.named.contains_key(name) || members.others.is_some() && !taken(name);
        if self.place == Place::Cookie {
            for (name, text) in sent.cookies().iter().filter(|(name, _)| is_own(name)) {
                add(&mut object, name, text, shape, self.place.decode())?;
            }
        } else {
            for (name, text) in sent.arguments().iter().filter(|(name, _)| is_own(name)) {
                add(&mut object, name, text, shape, self.place.decode())?;
            }
        }
        Ok((!object.is_empty()).then(|| object.into()))
    }
}

/// Adds a member, or one more item to it.
///
/// # Errors
/// When a member that is judged, and not as an array, stands there several times: keywords for texts do not look at arrays.
fn add(
    object: &mut Map<String, Value>,
    name: &str,
    text: &str,
    shape: &Shape,
    decode: Decode,
) -> Result<(), &'static str> {
    let shape = shape.member(name);
    let text = decode(text);
    match object.get_mut(name) {
        None if shape.is_array(1) => {
            object.insert(name.to_owned(), Value::Array(vec![shape.item().value(&text)]));
        }
        None => {
            object.insert(name.to_owned(), shape.value(&text));
        }
        Some(_) if shape.is_one() => return Err(SEVERAL),
        Some(Value::Array(items)) => items.push(shape.item().value(&text)),
        Some(first) => *first = Value::Array(vec![first.take(), shape.item().value(&text)]),
    }
    Ok(())
}

fn plain(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

/// The rules of [`add`] for texts that are decoded already.
pub(super) fn add_plain(
    object: &mut Map<String, Value>,
    name: &str,
    text: &str,
    shape: &Shape,
) -> Result<(), &'static str> {
    add(object, name, text, shape, plain)
}
