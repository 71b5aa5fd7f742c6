//! Judges one item's wire form by its [`Shape`], and finds all its faults in one go.
use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::hint::closest;
use super::shape::{List, Shape, Struct, Text, is_id, is_reference};
use crate::model::{Finding, Id, IpOrCidr, Kind, Severity};

/// What a walk is strict about.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// What an unknown field weighs.
    pub(crate) unknown: Severity,
    /// Whether each use of an extension is a warning.
    pub(crate) name_extensions: bool,
}

impl Rules {
    /// As code is judged.
    pub(crate) const STRICT: Self = Self { unknown: Severity::Error, name_extensions: false };
}

/// The fields of an object by name, whatever order the maps of the program keep (`serde_json/preserve_order`): the same faults come
/// in the same order in every build.
pub(in crate::model) fn in_order(object: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut fields: Vec<_> = object.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields.into_iter()
}

/// One step of the way from the item to a value.
#[derive(Clone, Copy)]
enum Step<'v> {
    Key(&'v str),
    Index(usize),
}

/// A walk over one item. `'f`: where findings go; `'v`: the document.
pub(crate) struct Walk<'f, 'v> {
    kind: Kind,
    id: Option<Id>,
    index: Option<usize>,
    rules: Rules,
    way: Vec<Step<'v>>,
    findings: &'f mut Vec<Finding>,
    dropped: Vec<(String, &'v str)>,
    failed: bool,
}

impl<'f, 'v> Walk<'f, 'v> {
    pub(crate) fn new(
        kind: Kind,
        id: Option<Id>,
        index: Option<usize>,
        rules: Rules,
        findings: &'f mut Vec<Finding>,
    ) -> Self {
        Self { kind, id, index, rules, way: Vec::new(), findings, dropped: Vec::new(), failed: false }
    }

    /// Whether an error was found.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// `value` without the fields that were warned about, if there were any.
    pub(crate) fn cleaned(&self, value: &Value) -> Option<Value> {
        if self.dropped.is_empty() {
            return None;
        }
        let mut value = value.clone();
        for (parent, name) in &self.dropped {
            if let Some(Value::Object(object)) = value.pointer_mut(parent) {
                object.remove(*name);
            }
        }
        Some(value)
    }

    pub(crate) fn error(&mut self, message: impl Into<String>, mend: impl Into<String>) {
        self.failed = true;
        self.report(Severity::Error, message.into(), mend.into());
    }

    pub(crate) fn warn(&mut self, message: impl Into<String>, mend: impl Into<String>) {
        self.report(Severity::Warning, message.into(), mend.into());
    }

    fn report(&mut self, severity: Severity, message: String, mend: String) {
        let mut finding = Finding::error(self.kind, self.id.clone(), self.path(), message).with_mend(mend);
        finding.severity = severity;
        finding.index = self.index;
        self.findings.push(finding);
    }

    /// Runs `judge` one step further down.
    pub(crate) fn under(&mut self, key: &'v str, judge: impl FnOnce(&mut Self)) {
        self.way.push(Step::Key(key));
        judge(self);
        self.way.pop();
    }

    /// As [`Walk::under`], of an entry of a list.
    pub(crate) fn at(&mut self, index: usize, judge: impl FnOnce(&mut Self)) {
        self.way.push(Step::Index(index));
        judge(self);
        self.way.pop();
    }

    /// Leaves the field `name` of the object at hand out of the typed form.
    pub(crate) fn drop_field(&mut self, name: &'v str) {
        self.dropped.push((self.pointer(), name));
    }

    pub(crate) fn value(&mut self, value: &'v Value, shape: &'static Shape) {
        let fits = match (shape, value) {
            (Shape::Any, _) | (Shape::Bool, Value::Bool(_)) => true,
            (Shape::Int(min, max), Value::Number(number)) => {
                number.as_i64().map_or(*max == i64::MAX && number.is_u64(), |number| (*min..=*max).contains(&number))
            }
            (Shape::From(min), Value::Number(number)) => number.as_f64().is_some_and(|number| number >= *min),
            (Shape::Above(bound), Value::Number(number)) => number.as_f64().is_some_and(|number| number > *bound),
            (Shape::Word(words), Value::String(text)) => {
                if !words.contains(&text.as_str()) {
                    let hint = closest(text, words.iter().copied())
                        .map_or_else(String::new, |word| format!("did you mean `{word}`? "));
                    return self.error("is none of the words known here", format!("{hint}write {}", expects(shape)));
                }
                true
            }
            (Shape::Id, Value::Number(number)) => number.as_u64().is_some_and(|number| number >= 1),
            (Shape::Id, Value::String(text)) => is_id(text),
            (Shape::Address, Value::String(text)) => text.parse::<IpOrCidr>().is_ok(),
            (Shape::Text(rules), Value::String(text)) => return self.text(text, rules),
            (Shape::List(list), Value::Array(items)) => return self.list(items, list),
            (Shape::Struct(table), Value::Object(object)) => return self.object(object, table),
            (Shape::Dict(dict), Value::Object(object)) => {
                for (key, value) in in_order(object) {
                    self.under(key, |walk| {
                        if !fits_text(key, &dict.key) {
                            walk.error(
                                "this key cannot stand here",
                                format!("write a key that is {}", expects_text(&dict.key)),
                            );
                        }
                        walk.value(value, &dict.value);
                    });
                }
                return;
            }
            (Shape::Either(either), _) => return (either.judge)(value, self),
            _ => return self.mismatch(value, shape),
        };
        if !fits {
            let message = match shape {
                Shape::Id => "is no id",
                Shape::Address => "is no address or network",
                Shape::Int(..) if value.is_f64() => "is not a whole number",
                _ => "is out of range",
            };
            self.error(message, format!("write {}", expects(shape)));
        }
    }

    /// Says that `value` is of the wrong type.
    pub(crate) fn mismatch(&mut self, value: &Value, shape: &'static Shape) {
        let mend = match value {
            Value::Null => format!("write {}, or leave the field out", expects(shape)),
            _ => format!("write {}", expects(shape)),
        };
        self.error(format!("is {}", type_of(value)), mend);
    }

    fn text(&mut self, text: &str, rules: &'static Text) {
        if !fits_text(text, rules) {
            let message = match text.chars().count() {
                0 => "is empty".to_owned(),
                length if !(rules.min..=rules.max).contains(&length) => format!("has {length} characters"),
                _ => "does not have the form that is needed here".to_owned(),
            };
            self.error(message, format!("write {}", expects_text(rules)));
        }
    }

    pub(crate) fn list(&mut self, items: &'v [Value], list: &'static List) {
        if !(list.min..=list.max).contains(&items.len()) {
            self.error(format!("has {} entries", items.len()), format!("write {}", expects_list(list)));
        }
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            self.way.push(Step::Index(index));
            self.value(item, &list.of);
            if list.unique && items.len() > 1 && !seen.insert(item.to_string()) {
                self.error("stands in the list twice", "leave one of them out");
            }
            self.way.pop();
        }
    }

    pub(crate) fn object(&mut self, object: &'v Map<String, Value>, table: &'static Struct) {
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
        let variant = table.variants.iter().find(|(prefix, _)| id.starts_with(prefix)).map(|(_, variant)| *variant);
        // An id that fits no variant is a fault of its own, and says nothing of the other fields.
        let open = table.open || (variant.is_none() && !table.variants.is_empty());
        let fields = || table.fields.iter().chain(variant.map_or(&[][..], |variant| variant.fields));
        for (name, value) in in_order(object) {
            match fields().find(|field| field.name == name) {
                Some(field) => self.under(name, |walk| {
                    if field.extension && walk.rules.name_extensions {
                        walk.warn(
                            "is an extension of tollgate",
                            "leave it out where Apache APISIX is to take the item",
                        );
                    }
                    walk.value(value, &field.shape);
                }),
                None if open => {}
                None => self.unknown(name, table, fields().map(|field| field.name)),
            }
        }
        for field in fields().filter(|field| field.required && !object.contains_key(field.name)) {
            self.way.push(Step::Key(field.name));
            self.error("is missing", format!("write {}", expects(&field.shape)));
            self.way.pop();
        }
        for rule in table.rule.into_iter().chain(variant.and_then(|variant| variant.rule)) {
            rule(object, self);
        }
    }

    fn unknown(&mut self, name: &'v str, table: &'static Struct, known: impl Iterator<Item = &'static str>) {
        self.under(name, |walk| {
            if let Some((_, instead)) = table.refused.iter().find(|(refused, _)| *refused == name) {
                return walk.error("is not supported", *instead);
            }
            let mend = match closest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove it".to_owned(),
            };
            if table.tolerant || walk.rules.unknown == Severity::Warning {
                walk.warn("is not a field that is known here; it is ignored", mend);
            } else {
                walk.error("is not a field that is known here", mend);
            }
        });
        self.drop_field(name);
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.way {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Key(key) if is_word(key) && path.is_empty() => write!(path, "{key}"),
                Step::Key(key) if is_word(key) => write!(path, ".{key}"),
                Step::Key(key) => write!(path, "[{key:?}]"),
            };
        }
        path
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.way {
            let _ = match step {
                Step::Index(index) => write!(pointer, "/{index}"),
                Step::Key(key) => write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1")),
            };
        }
        pointer
    }
}

fn is_word(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn fits_text(text: &str, rules: &Text) -> bool {
    is_reference(text)
        || ((rules.min..=rules.max).contains(&text.chars().count()) && rules.rule.is_none_or(|rule| (rule.holds)(text)))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Completes "write …".
pub(crate) fn expects(shape: &Shape) -> String {
    match shape {
        Shape::Any => "any value".to_owned(),
        Shape::Bool => "true or false, without quotes".to_owned(),
        Shape::Int(i64::MIN, i64::MAX) => "an integer".to_owned(),
        Shape::Int(min, i64::MAX) => format!("an integer from {min} up"),
        Shape::Int(min, max) => format!("an integer from {min} to {max}"),
        Shape::From(min) => format!("a number from {min} up"),
        Shape::Above(bound) => format!("a number above {bound}"),
        Shape::Text(text) => expects_text(text),
        Shape::Word(words) => format!("one of `{}`", words.join("`, `")),
        Shape::Id => "an id of 1 to 64 letters, digits and `-_.`, or an integer from 1 up".to_owned(),
        Shape::Address => "an address or network such as 10.0.0.1, 10.0.0.0/8, ::1 or fc00::/7".to_owned(),
        Shape::List(list) => expects_list(list),
        Shape::Struct(_) | Shape::Dict(_) => "an object".to_owned(),
        Shape::Either(either) => either.forms.iter().map(expects).collect::<Vec<_>>().join(", or "),
    }
}

fn expects_text(rules: &Text) -> String {
    match (rules.rule, rules.min, rules.max) {
        (Some(rule), ..) => rule.expects.to_owned(),
        (None, 0 | 1, usize::MAX) => "a string".to_owned(),
        (None, 0, max) => format!("a string of at most {max} characters"),
        (None, min, max) => format!("a string of {min} to {max} characters"),
    }
}

fn expects_list(list: &List) -> String {
    match (list.min, list.max) {
        (0, usize::MAX) => "an array".to_owned(),
        (min, usize::MAX) => format!("an array of at least {min}"),
        (0, max) => format!("an array of at most {max}"),
        (min, max) => format!("an array of {min} to {max}"),
    }
}
