//! Messages to JSON.
use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _};
use prost_reflect::{SerializeOptions, Value};

use super::config::PbOption;

/// How messages become JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    enums_by_name: bool,
    int64: Int64,
    defaults: Defaults,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Int64 {
    Number,
    Hash,
    HashHex,
    Decimal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defaults {
    None,
    /// Of fields that cannot tell whether they are set.
    WithoutPresence,
    /// Of all but messages and what stands in a `oneof`.
    All,
}

impl Style {
    pub(super) fn of(options: &[PbOption]) -> Self {
        let mut style = Self { enums_by_name: true, int64: Int64::Number, defaults: Defaults::WithoutPresence };
        for option in options {
            match option {
                PbOption::EnumAsName => style.enums_by_name = true,
                PbOption::EnumAsValue => style.enums_by_name = false,
                PbOption::Int64AsNumber => style.int64 = Int64::Number,
                PbOption::Int64AsString => style.int64 = Int64::Hash,
                PbOption::Int64AsHexstring => style.int64 = Int64::HashHex,
                PbOption::Int64AsDecimal => style.int64 = Int64::Decimal,
                PbOption::AutoDefaultValues => style.defaults = Defaults::WithoutPresence,
                PbOption::UseDefaultValues => style.defaults = Defaults::All,
                PbOption::NoDefaultValues | PbOption::UseDefaultMetatable => style.defaults = Defaults::None,
                PbOption::EnableHooks | PbOption::DisableHooks => {}
            }
        }
        style
    }
}

/// The JSON of a message, at most so many bytes.
///
/// # Errors
/// It would be longer.
pub(super) fn text(message: &DynamicMessage, style: Style, longest: usize) -> io::Result<Vec<u8>> {
    let mut writer = Writer { out: Limited { text: Vec::new(), longest }, style };
    writer.message(message)?;
    Ok(writer.out.text)
}

/// As [`text`], of one field alone.
///
/// # Errors
/// As [`text`].
pub(super) fn field_text(
    message: &DynamicMessage,
    field: &FieldDescriptor,
    style: Style,
    longest: usize,
) -> io::Result<Vec<u8>> {
    let mut writer = Writer { out: Limited { text: Vec::new(), longest }, style };
    writer.field(field, &message.get_field(field))?;
    Ok(writer.out.text)
}

/// Whether a message has a form of its own in JSON, such as a time stamp.
pub(super) fn has_own_json(kind: &MessageDescriptor) -> bool {
    let name = kind.full_name().strip_prefix("google.protobuf.").unwrap_or_default();
    let own = [
        "Any",
        "Timestamp",
        "Duration",
        "Struct",
        "Value",
        "ListValue",
        "FieldMask",
        "Empty",
        "DoubleValue",
        "FloatValue",
        "Int64Value",
        "UInt64Value",
        "Int32Value",
        "UInt32Value",
        "BoolValue",
        "StringValue",
        "BytesValue",
    ];
    own.contains(&name)
}

struct Limited {
    text: Vec<u8>,
    longest: usize,
}

impl Write for Limited {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.longest - self.text.len() < part.len() {
            return Err(io::Error::other("the JSON is longer than it may be"));
        }
        self.text.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer {
    out: Limited,
    style: Style,
}

impl Writer {
    fn message(&mut self, message: &DynamicMessage) -> io::Result<()> {
        let kind = message.descriptor();
        if has_own_json(&kind) && self.own_json(message)? {
            return Ok(());
        }
        self.out.write_all(b"{")?;
        let mut is_first = true;
        for field in kind.fields() {
            let is_set = message.has_field(&field);
            if is_set || self.shows_default(&field) {
                self.separate(&mut is_first)?;
                self.name(field.name())?;
                self.field(&field, &message.get_field(&field))?;
            }
        }
        self.out.write_all(b"}")
    }

    /// Writes what has a form of its own; `false` for what it does not fit, such as an `Any` of a message that is not known.
    fn own_json(&mut self, message: &DynamicMessage) -> io::Result<bool> {
        let begun = self.out.text.len();
        let options = SerializeOptions::new()
            .stringify_64_bit_integers(self.style.int64 != Int64::Number)
            .use_enum_numbers(!self.style.enums_by_name)
            .use_proto_field_name(true)
            .skip_default_fields(self.style.defaults == Defaults::None);
        match message.serialize_with_options(&mut serde_json::Serializer::new(&mut self.out), &options) {
            Ok(()) => Ok(true),
            Err(error) if error.is_io() => Err(error.into()),
            Err(_) => {
                self.out.text.truncate(begun);
                Ok(false)
            }
        }
    }

    fn shows_default(&self, field: &FieldDescriptor) -> bool {
        match self.style.defaults {
            Defaults::None => false,
            Defaults::WithoutPresence => !field.supports_presence(),
            Defaults::All => {
                let is_message = matches!(field.kind(), Kind::Message(_)) && !field.is_list() && !field.is_map();
                // A field that is `optional` stands in a `oneof` that nobody wrote.
                let in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
                !is_message && !in_oneof
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor, value: &Value) -> io::Result<()> {
        match (value, field.kind()) {
            (Value::List(items), kind) => {
                self.out.write_all(b"[")?;
                let mut is_first = true;
                for item in items {
                    self.separate(&mut is_first)?;
                    self.value(&kind, item)?;
                }
                self.out.write_all(b"]")
            }
            (Value::Map(entries), Kind::Message(entry)) => {
                let kind = entry.map_entry_value_field().kind();
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                self.out.write_all(b"{")?;
                let mut is_first = true;
                for (key, value) in entries {
                    self.separate(&mut is_first)?;
                    self.key(key)?;
                    self.value(&kind, value)?;
                }
                self.out.write_all(b"}")
            }
            (value, kind) => self.value(&kind, value),
        }
    }

    fn value(&mut self, kind: &Kind, value: &Value) -> io::Result<()> {
        match value {
            Value::Message(message) => self.message(message),
            Value::Bool(value) => write!(self.out, "{value}"),
            Value::I32(value) => write!(self.out, "{value}"),
            Value::U32(value) => write!(self.out, "{value}"),
            Value::I64(value) => self.int64(*value < 0, value.unsigned_abs(), i32::MIN.unsigned_abs().into()),
            Value::U64(value) => self.int64(false, *value, 0),
            Value::F32(value) if value.is_finite() => Ok(serde_json::to_writer(&mut self.out, value)?),
            Value::F64(value) if value.is_finite() => Ok(serde_json::to_writer(&mut self.out, value)?),
            Value::F32(value) => self.not_finite(f64::from(*value)),
            Value::F64(value) => self.not_finite(*value),
            Value::String(text) => Ok(serde_json::to_writer(&mut self.out, text)?),
            Value::Bytes(bytes) => write!(self.out, "\"{}\"", Base64Display::new(bytes, &STANDARD)),
            Value::EnumNumber(number) => {
                let name = match kind {
                    Kind::Enum(kind) if self.style.enums_by_name => kind.get_value(*number),
                    _ => None,
                };
                match name {
                    Some(value) => write!(self.out, "\"{}\"", value.name()),
                    None => write!(self.out, "{number}"),
                }
            }
            // Neither stands inside another one.
            Value::List(_) | Value::Map(_) => Ok(()),
        }
    }

    /// Behind a `#` stands what 32 bits do not hold.
    fn int64(&mut self, is_negative: bool, digits: u64, lowest: u64) -> io::Result<()> {
        let sign = if is_negative { "-" } else { "" };
        let is_small = if is_negative { digits <= lowest } else { digits <= u32::MAX.into() };
        match self.style.int64 {
            Int64::Decimal => write!(self.out, "\"{sign}{digits}\""),
            Int64::Hash if !is_small => write!(self.out, "\"#{sign}{digits}\""),
            Int64::HashHex if !is_small => write!(self.out, "\"#{sign}0x{digits:X}\""),
            _ => write!(self.out, "{sign}{digits}"),
        }
    }

    fn not_finite(&mut self, value: f64) -> io::Result<()> {
        let name = match value {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        };
        write!(self.out, "\"{name}\"")
    }

    fn key(&mut self, key: &MapKey) -> io::Result<()> {
        match key {
            MapKey::String(key) => self.name(key),
            MapKey::Bool(key) => write!(self.out, "\"{key}\":"),
            MapKey::I32(key) => write!(self.out, "\"{key}\":"),
            MapKey::I64(key) => write!(self.out, "\"{key}\":"),
            MapKey::U32(key) => write!(self.out, "\"{key}\":"),
            MapKey::U64(key) => write!(self.out, "\"{key}\":"),
        }
    }

    fn name(&mut self, name: &str) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, name)?;
        self.out.write_all(b":")
    }

    fn separate(&mut self, is_first: &mut bool) -> io::Result<()> {
        if std::mem::take(is_first) { Ok(()) } else { self.out.write_all(b",") }
    }
}
