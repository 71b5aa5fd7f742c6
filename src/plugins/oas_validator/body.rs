//! Bodies of requests.
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::field::parameters;
use super::multipart::{Part, parts};
use super::parameter::add_plain;
use super::shape::Shape;
use super::style::Style;
use crate::plugin::bodies::{Bodies, is_utf8};
use crate::plugins::json_schema::Schema;

/// What a document says of an operation's body.
#[derive(Debug)]
pub(super) struct BodyRule {
    pub(super) required: bool,
    content: Vec<Listed>,
}

/// A media type as it is listed.
#[derive(Debug)]
struct Listed {
    /// In lower case, perhaps with `*` in the place of some of it.
    range: String,
    parameters: Vec<(String, String)>,
    media: Arc<Media>,
}

/// What a document says of one media type.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) schema: Option<Arc<Schema>>,
    pub(super) shape: Shape,
    pub(super) encoding: HashMap<String, Encoding>,
}

/// How a field of a form is written.
#[derive(Debug, Default)]
pub(super) struct Encoding {
    /// As JSON.
    pub(super) json: bool,
    /// Media types that a part of `multipart/form-data` may say it is of; none for any.
    pub(super) types: Box<[String]>,
    /// In this style, all items in one text.
    pub(super) joined: Option<Style>,
}

impl BodyRule {
    /// Of media types as the document lists them.
    pub(super) fn new(required: bool, content: impl IntoIterator<Item = (String, Media)>) -> Self {
        let listed = |(name, media): (String, Media)| Listed {
            range: essence(&name),
            parameters: parameters(&name).unwrap_or_default(),
            media: Arc::new(media),
        };
        let mut content: Vec<_> = content.into_iter().map(listed).collect();
        // the more exact one first
        content.sort_by_key(|listed| {
            let stars = listed.range.matches('*').count();
            (stars, std::cmp::Reverse(listed.range.len()), std::cmp::Reverse(listed.parameters.len()))
        });
        Self { required, content }
    }

    /// What is said of a body of that type.
    ///
    /// # Errors
    /// That there must be none such, in words.
    pub(super) fn media(&self, content_type: &str) -> Result<&Arc<Media>, String> {
        let essence = essence(content_type);
        let own = parameters(content_type).unwrap_or_default();
        let first = self.content.iter().find(|listed| covers(&listed.range, &essence));
        // parameters tell types of one name apart, but demand nothing
        let fitting = first.and_then(|first| {
            let same = self.content.iter().filter(|listed| listed.range == first.range);
            same.into_iter().find(|listed| listed.parameters.iter().all(|parameter| own.contains(parameter)))
        });
        fitting.or(first).map(|listed| &listed.media).ok_or_else(|| {
            let allowed: Vec<_> = self.content.iter().map(|listed| listed.range.as_str()).collect();
            format!("`Content-Type` is none of {}", allowed.join(", "))
        })
    }
}

/// A media type without parameters, in lower case.
pub(super) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media range covers a media type.
fn covers(range: &str, essence: &str) -> bool {
    match range.split_once('*') {
        Some(("", "/*")) => true,
        Some((before, behind)) => {
            let rest = essence.strip_prefix(before);
            rest.is_some_and(|rest| rest.ends_with(behind))
        }
        None => range == essence,
    }
}

pub(super) fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

impl Media {
    /// Judges a body that is not empty, in plain.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub(super) fn judge(&self, content_type: &str, text: &[u8], bodies: &Bodies) -> Result<(), String> {
        let Some(schema) = &self.schema else { return Ok(()) };
        let told = |reason: String| format!("body: {reason}");
        let json = || bodies.json(text).map_err(|fault| told(format!("is no JSON to be taken: {fault}")));
        let essence = essence(content_type);
        // what a service reads by another charset is another text
        let is_utf8 = || if is_utf8(content_type.as_bytes()) { Ok(()) } else { Err(told(CHARSET.to_owned())) };
        let value = match &*essence {
            known if is_json(known) => is_utf8().and_then(|()| json())?,
            "application/x-www-form-urlencoded" if is_utf8().is_err() => return is_utf8(),
            "application/x-www-form-urlencoded" => self.form(text, bodies).map_err(told)?,
            "multipart/form-data" => self.multipart(content_type, text, bodies).map_err(told)?,
            text_type if text_type.starts_with("text/") => self.shape.value(&String::from_utf8_lossy(text)),
            // of other types only JSON can be what is no text
            _ if self.shape.is_text() => return Ok(()),
            _ if self.shape.says_types() => json()?,
            _ => match json() {
                Ok(value) => value,
                Err(_) => return Ok(()),
            },
        };
        schema.judge(&value).map_err(told)
    }

    fn form(&self, text: &[u8], bodies: &Bodies) -> Result<Value, String> {
        let mut object = Map::new();
        for (name, text) in bodies.form(text).map_err(|fault| fault.to_string())? {
            let encoding = self.encoding.get(&name);
            match encoding.and_then(|encoding| encoding.joined) {
                Some(style) => {
                    if object.contains_key(&name) {
                        return Err(several(&name));
                    }
                    for item in style.split(&text) {
                        add_plain(&mut object, &name, item, &self.shape).map_err(|_| several(&name))?;
                    }
                }
                None => self.add(
                    &mut object,
                    &name,
                    text.as_bytes(),
                    encoding.is_some_and(|encoding| encoding.json),
                    bodies,
                )?,
            }
        }
        Ok(object.into())
    }

    fn multipart(&self, content_type: &str, text: &[u8], bodies: &Bodies) -> Result<Value, String> {
        let mut object = Map::new();
        for Part { name, content_type, data } in
            parts(content_type, text, bodies.most_values()).map_err(|fault| fault.to_string())?
        {
            let encoding = self.encoding.get(&name);
            let json = match content_type.as_deref().map(essence) {
                None => encoding.is_some_and(|encoding| encoding.json),
                Some(own) => {
                    let listed = encoding.map_or(&[][..], |encoding| &encoding.types);
                    if !listed.is_empty() && !listed.iter().any(|range| covers(range, &own)) {
                        return Err(format!("/{name}: its `Content-Type` is none of {}", listed.join(", ")));
                    }
                    is_json(&own)
                }
            };
            if json && content_type.is_some_and(|own| !is_utf8(own.as_bytes())) {
                return Err(format!("/{name}: {CHARSET}"));
            }
            self.add(&mut object, &name, data, json, bodies)?;
        }
        Ok(object.into())
    }

    /// Adds a field: as JSON where it is meant to be, or can only be an object.
    fn add(
        &self,
        object: &mut Map<String, Value>,
        name: &str,
        text: &[u8],
        json: bool,
        bodies: &Bodies,
    ) -> Result<(), String> {
        let shape = self.shape.member(name);
        let is_item_object = shape.items.as_deref().is_some_and(Shape::is_object);
        if !json && !shape.is_object() && !is_item_object {
            return add_plain(object, name, &String::from_utf8_lossy(text), &self.shape).map_err(|_| several(name));
        }
        let value = bodies.json(text).map_err(|fault| format!("/{name}: is no JSON to be taken: {fault}"))?;
        match object.get_mut(name) {
            None if shape.is_array(1) && !value.is_array() => {
                object.insert(name.to_owned(), Value::Array(vec![value]));
            }
            None => {
                object.insert(name.to_owned(), value);
            }
            Some(_) if shape.is_one() => return Err(several(name)),
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
        Ok(())
    }
}

/// That a text is not in the one charset that is judged.
const CHARSET: &str = "`charset` of `Content-Type` is another than utf-8";

fn several(name: &str) -> String {
    format!("/{name}: stands there several times")
}
