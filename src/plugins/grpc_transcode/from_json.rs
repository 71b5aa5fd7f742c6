//! JSON to messages, as the JSON mapping of Protobuf has it, except that texts may stand for numbers and truth values, as they
//! come in queries, and that unknown fields are left out.
use std::collections::HashSet;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::Value as Proto;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor,
};
use serde_json::{Map, Value};

use super::to_json::has_own_json;

/// A value that its field cannot have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", Place(.path))]
pub(super) struct Mismatch {
    /// The names that lead to it, from the inside out.
    path: Vec<String>,
    reason: String,
}

struct Place<'a>(&'a [String]);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names = self.0.iter().rev();
        let Some(first) = names.next() else { return Ok(()) };
        write!(f, "{first}")?;
        names.try_for_each(|name| write!(f, ".{name}"))?;
        write!(f, ": ")
    }
}

impl Mismatch {
    fn new(reason: impl Into<String>) -> Self {
        Self { path: Vec::new(), reason: reason.into() }
    }

    fn at(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
        self
    }
}

/// A message of these fields.
pub(super) fn message(kind: &MessageDescriptor, json: Value) -> Result<DynamicMessage, Mismatch> {
    if has_own_json(kind) {
        let options = DeserializeOptions::new().deny_unknown_fields(false);
        let message = DynamicMessage::deserialize_with_options(kind.clone(), json, &options);
        return message.map_err(|error| Mismatch::new(error.to_string()));
    }
    let Value::Object(fields) = json else { return Err(Mismatch::new("is to be an object")) };
    of_fields(kind, fields)
}

/// The field of that name, in the definition or in JSON.
pub(super) fn field_named(kind: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    kind.get_field_by_name(name).or_else(|| kind.get_field_by_json_name(name))
}

fn of_fields(kind: &MessageDescriptor, fields: Map<String, Value>) -> Result<DynamicMessage, Mismatch> {
    let mut message = DynamicMessage::new(kind.clone());
    let mut seen = HashSet::new();
    for (name, json) in fields {
        let Some(field) = field_named(kind, &name) else { continue };
        if !seen.insert(field.number()) {
            return Err(Mismatch::new("is there twice, by its name and by its JSON name").at(&name));
        }
        if json.is_null() && !takes_null(&field.kind()) {
            continue;
        }
        let others = field.containing_oneof();
        let mut others = others.iter().flat_map(|oneof| oneof.fields());
        if let Some(other) = others.find(|other| message.has_field(other) && *other != field) {
            let reason = format!("cannot stand beside `{}`: only one of them is meant", other.name());
            return Err(Mismatch::new(reason).at(&name));
        }
        let value = of_field(&field, json).map_err(|fault| fault.at(&name))?;
        message.try_set_field(&field, value).map_err(|error| Mismatch::new(error.to_string()).at(&name))?;
    }
    Ok(message)
}

/// Whether null is a value of its own.
fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(kind) => kind.full_name() == "google.protobuf.Value",
        Kind::Enum(kind) => kind.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn of_field(field: &FieldDescriptor, json: Value) -> Result<Proto, Mismatch> {
    if field.is_map() {
        let Value::Object(entries) = json else { return Err(Mismatch::new("is to be an object")) };
        let Kind::Message(entry) = field.kind() else { return Err(Mismatch::new("is no map")) };
        let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let entries = entries.into_iter().map(|(key, json)| {
            let entry = map_key(&key_kind, &key).and_then(|key| Ok((key, scalar(&value_kind, json)?)));
            entry.map_err(|fault| fault.at(&key))
        });
        return entries.collect::<Result<_, _>>().map(Proto::Map);
    }
    if field.is_list() {
        let items = match json {
            Value::Array(items) => items,
            // A name that occurs once in a query may be a list of one.
            one @ Value::String(_) => vec![one],
            _ => return Err(Mismatch::new("is to be a list")),
        };
        let items = items.into_iter().enumerate();
        let items = items.map(|(at, json)| scalar(&field.kind(), json).map_err(|fault| fault.at(&at.to_string())));
        return items.collect::<Result<_, _>>().map(Proto::List);
    }
    scalar(&field.kind(), json)
}

fn map_key(kind: &Kind, key: &str) -> Result<MapKey, Mismatch> {
    scalar(kind, Value::String(key.to_owned()))?.into_map_key().ok_or_else(|| Mismatch::new("is no key"))
}

fn scalar(kind: &Kind, json: Value) -> Result<Proto, Mismatch> {
    match kind {
        Kind::Message(kind) => message(kind, json).map(Proto::Message),
        Kind::Enum(kind) => of_enum(kind, &json).map(Proto::EnumNumber),
        Kind::Bool => match &json {
            Value::Bool(value) => Ok(Proto::Bool(*value)),
            Value::String(text) if text == "true" => Ok(Proto::Bool(true)),
            Value::String(text) if text == "false" => Ok(Proto::Bool(false)),
            _ => Err(Mismatch::new("is to be true or false")),
        },
        Kind::String => match json {
            Value::String(text) => Ok(Proto::String(text)),
            _ => Err(Mismatch::new("is to be a string")),
        },
        Kind::Bytes => bytes(&json).map(|bytes| Proto::Bytes(bytes.into())),
        Kind::Float => float(&json).and_then(|value| {
            #[expect(clippy::cast_possible_truncation, reason = "to the nearest; what is beyond all is refused")]
            let single = value as f32;
            let fits = single.is_finite() || !value.is_finite();
            if fits { Ok(Proto::F32(single)) } else { Err(Mismatch::new("is too large for a float")) }
        }),
        Kind::Double => float(&json).map(Proto::F64),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(&json, "an integer of 32 bits").map(Proto::I32),
        Kind::Uint32 | Kind::Fixed32 => integer(&json, "an integer of 32 bits, 0 or more").map(Proto::U32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer(&json, "an integer of 64 bits").map(Proto::I64),
        Kind::Uint64 | Kind::Fixed64 => integer(&json, "an integer of 64 bits, 0 or more").map(Proto::U64),
    }
}

/// A number, or its text: in decimal, and behind a `#` in hexadecimal as well.
fn integer<T: TryFrom<i128>>(json: &Value, wanted: &str) -> Result<T, Mismatch> {
    let number = match json {
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Some(i128::from(number)),
            (_, Some(number), _) => Some(i128::from(number)),
            (.., Some(number)) => whole(number),
            _ => None,
        },
        Value::String(text) => match text.strip_prefix('#') {
            None => digits(text),
            Some(text) => behind_hash(text),
        },
        _ => None,
    };
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| Mismatch::new(format!("is to be {wanted}")))
}

/// Such as `1.0` and `1e3`.
fn whole(number: f64) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and the cast saturates")]
    (number.fract() == 0.0 && number.is_finite()).then_some(number as i128)
}

fn digits(text: &str) -> Option<i128> {
    let is_plain = !text.starts_with('+') && text.len() <= 40;
    is_plain.then(|| text.parse().ok()).flatten()
}

fn behind_hash(text: &str) -> Option<i128> {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i128::from(u64::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+'))?),
        None => digits(text).filter(|_| !text.starts_with('-'))?,
    };
    Some(if is_negative { -number } else { number })
}

fn float(json: &Value) -> Result<f64, Mismatch> {
    let number = match json {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        _ => None,
    };
    number.ok_or_else(|| Mismatch::new("is to be a number"))
}

fn of_enum(kind: &EnumDescriptor, json: &Value) -> Result<i32, Mismatch> {
    if let Value::String(text) = json
        && let Some(value) = kind.get_value_by_name(text)
    {
        return Ok(value.number());
    }
    if json.is_null() {
        return Ok(0);
    }
    integer(json, "").map_err(|_| Mismatch::new(format!("is to be a value of the enum {}", kind.full_name())))
}

fn bytes(json: &Value) -> Result<Vec<u8>, Mismatch> {
    json.as_str().and_then(base64).ok_or_else(|| Mismatch::new("is to be base64"))
}

/// Base64 in either alphabet, with padding or without.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engines = [GeneralPurpose::new(&STANDARD, CONFIG), GeneralPurpose::new(&URL_SAFE, CONFIG)];
    engines.iter().find_map(|engine| engine.decode(text).ok())
}
