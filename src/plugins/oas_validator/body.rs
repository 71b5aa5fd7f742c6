//! Bodies of requests.
use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::{Map, Value};

use super::multipart::{Part, parts};
use super::parameter::add_plain;
use super::shape::Shape;
use super::style::Style;
use crate::plugin::bodies::Bodies;
use crate::plugins::json_schema;

/// What a document says of an operation's body.
#[derive(Debug)]
pub(super) struct BodyRule {
    pub(super) required: bool,
    /// By media type or range (`image/*`) in lower case without parameters; the more exact one first.
    pub(super) content: Vec<(String, Media)>,
}

/// What it says of one media type.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) validator: Option<Arc<Validator>>,
    pub(super) shape: Shape,
    pub(super) encoding: HashMap<String, Encoding>,
}

/// How a field of a form is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Encoding {
    /// As JSON.
    pub(super) json: bool,
    /// In this style, all items in one text.
    pub(super) joined: Option<Style>,
}

impl BodyRule {
    /// Judges a body that is not empty, in plain.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub(super) fn judge(&self, content_type: Option<&str>, text: &[u8], bodies: &Bodies) -> Result<(), String> {
        let content_type = content_type.unwrap_or_default();
        let (essence, _) = content_type.split_once(';').unwrap_or((content_type, ""));
        let essence = essence.trim().to_ascii_lowercase();
        let media = self.content.iter().find(|(range, _)| covers(range, &essence));
        let Some((_, media)) = media else {
            let allowed: Vec<_> = self.content.iter().map(|(range, _)| range.as_str()).collect();
            return Err(format!("`Content-Type` is none of {}", allowed.join(", ")));
        };
        let Some(validator) = &media.validator else { return Ok(()) };
        let told = |reason: String| format!("body: {reason}");
        let value = match &*essence {
            json if is_json(json) => {
                bodies.json(text).map_err(|fault| told(format!("is no JSON to be taken: {fault}")))?
            }
            "application/x-www-form-urlencoded" => media.form(text, bodies).map_err(told)?,
            "multipart/form-data" => media.multipart(content_type, text, bodies).map_err(told)?,
            text_type if text_type.starts_with("text/") => media.shape.value(&String::from_utf8_lossy(text)),
            _ => return Ok(()),
        };
        json_schema::judge(validator, &value).map_err(told)
    }
}

/// Whether a media range covers a media type.
fn covers(range: &str, essence: &str) -> bool {
    match range.strip_suffix('*') {
        Some("*/") => true,
        Some(kind) => essence.starts_with(kind),
        None => range == essence,
    }
}

pub(super) fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence.ends_with("+json")
}

impl Media {
    fn form(&self, text: &[u8], bodies: &Bodies) -> Result<Value, String> {
        let mut object = Map::new();
        for (name, text) in bodies.form(text).map_err(|fault| fault.to_string())? {
            let encoding = self.encoding.get(&name).copied().unwrap_or_default();
            match encoding.joined {
                Some(style) => {
                    style.split(&text).into_iter().for_each(|item| add_plain(&mut object, &name, item, &self.shape));
                }
                None => self.add(&mut object, &name, text.as_bytes(), encoding.json, bodies)?,
            }
        }
        Ok(object.into())
    }

    fn multipart(&self, content_type: &str, text: &[u8], bodies: &Bodies) -> Result<Value, String> {
        let mut object = Map::new();
        for Part { name, content_type, data } in
            parts(content_type, text, bodies.most_values()).map_err(|fault| fault.to_string())?
        {
            let own = content_type.as_deref().and_then(|kind| kind.split(';').next());
            let json = own.is_some_and(|kind| is_json(&kind.trim().to_ascii_lowercase()))
                || own.is_none() && self.encoding.get(&name).is_some_and(|encoding| encoding.json);
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
            add_plain(object, name, &String::from_utf8_lossy(text), &self.shape);
            return Ok(());
        }
        let value = bodies.json(text).map_err(|fault| format!("/{name}: is no JSON to be taken: {fault}"))?;
        match object.get_mut(name) {
            None if shape.is_array(1) && !value.is_array() => {
                object.insert(name.to_owned(), Value::Array(vec![value]));
            }
            None => {
                object.insert(name.to_owned(), value);
            }
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
        Ok(())
    }
}
