//! What texts can become: values outside of JSON have no types, so the schema says which they are meant to have.
use std::collections::{BTreeSet, HashMap};

use serde_json::{Number, Value};

use super::reference::{pointer, resolve};
use super::work::Work;

/// How deep values can stand inside one another where they are not JSON.
const DEPTH: usize = 3;

/// What looking at a schema costs beside what compiling it costs.
const STEPS: usize = 5;

/// A look at a schema and those that it leads to.
struct Walk<'d> {
    document: &'d Value,
    work: &'d Work,
}

/// The types that a schema allows.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    number: bool,
    boolean: bool,
    null: bool,
    string: bool,
    /// The schema says more than what things are called.
    judged: bool,
    /// Of items, where arrays are allowed.
    pub(super) items: Option<Box<Shape>>,
    /// Of members, where objects are allowed.
    pub(super) members: Option<Members>,
}

/// The members of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    pub(super) named: HashMap<String, Shape>,
    /// Of all others, where the schema says anything of them.
    pub(super) others: Option<Box<Shape>>,
}

impl Shape {
    /// What the schema at this place of a document allows, as far as there is `work` left.
    pub(super) fn of(document: &Value, schema: &Value, work: &Work) -> Self {
        let mut shape = Self::default();
        shape.add(&Walk { document, work }, schema, DEPTH, &mut BTreeSet::new());
        shape
    }

    /// A text that nothing is said of.
    pub(super) fn text() -> &'static Self {
        static TEXT: Shape = Shape {
            number: false,
            boolean: false,
            null: false,
            string: true,
            judged: false,
            items: None,
            members: None,
        };
        &TEXT
    }

    fn add(&mut self, walk: &Walk<'_>, schema: &Value, depth: usize, seen: &mut BTreeSet<String>) {
        let Some(fields) = schema.as_object() else { return };
        if !walk.work.spend(STEPS) {
            return;
        }
        self.judged |= fields.keys().any(|keyword| !is_annotation(keyword));
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str)
            && let Ok(place) = pointer(reference)
            && let Ok((target, place)) = resolve(walk.document, place)
            && seen.insert(place)
        {
            self.add(walk, target, depth, seen);
        }
        for choice in ["allOf", "anyOf", "oneOf"] {
            let choices = fields.get(choice).and_then(Value::as_array).into_iter().flatten();
            choices.for_each(|schema| self.add(walk, schema, depth, seen));
        }
        for branch in ["then", "else"] {
            fields.get(branch).into_iter().for_each(|schema| self.add(walk, schema, depth, seen));
        }
        match fields.get("type") {
            Some(Value::String(name)) => self.add_type(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).for_each(|name| self.add_type(name)),
            _ => {
                let values = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
                values.chain(fields.get("const")).for_each(|value| self.add_type_of(value));
            }
        }
        let Some(depth) = depth.checked_sub(1) else { return };
        if let Some(items) = fields.get("items") {
            self.items.get_or_insert_default().add(walk, items, depth, &mut BTreeSet::new());
        }
        for (name, schema) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let named = &mut self.members.get_or_insert_default().named;
            named.entry(name.clone()).or_default().add(walk, schema, depth, &mut BTreeSet::new());
        }
        match fields.get("additionalProperties") {
            None | Some(Value::Bool(false)) => {}
            Some(schema) => {
                let others = &mut self.members.get_or_insert_default().others;
                others.get_or_insert_default().add(walk, schema, depth, &mut BTreeSet::new());
            }
        }
    }

    fn add_type(&mut self, name: &str) {
        match name {
            "integer" | "number" => self.number = true,
            "boolean" => self.boolean = true,
            "null" => self.null = true,
            "string" => self.string = true,
            "array" => drop(self.items.get_or_insert_default()),
            "object" => drop(self.members.get_or_insert_default()),
            _ => {}
        }
    }

    fn add_type_of(&mut self, value: &Value) {
        match value {
            Value::Number(_) => self.number = true,
            Value::Bool(_) => self.boolean = true,
            Value::Null => self.null = true,
            Value::String(_) => self.string = true,
            Value::Array(_) | Value::Object(_) => {}
        }
    }

    /// Whether it is an array, of so many texts.
    pub(super) fn is_array(&self, texts: usize) -> bool {
        self.items.is_some() && (texts > 1 || !self.is_scalar())
    }

    /// Whether it is an object and nothing else.
    pub(super) fn is_object(&self) -> bool {
        self.members.is_some() && self.items.is_none() && !self.is_scalar()
    }

    fn is_scalar(&self) -> bool {
        self.number || self.boolean || self.string
    }

    /// Whether a text may be one.
    pub(super) fn is_text(&self) -> bool {
        self.string
    }

    /// Whether it says what types there may be.
    pub(super) fn says_types(&self) -> bool {
        self.is_scalar() || self.null || self.items.is_some() || self.members.is_some()
    }

    /// The shape of items.
    pub(super) fn item(&self) -> &Self {
        self.items.as_deref().unwrap_or(Self::text())
    }

    /// Whether it is judged, and is no array.
    pub(super) fn is_one(&self) -> bool {
        self.judged && self.items.is_none()
    }

    /// The shape of a member.
    pub(super) fn member(&self, name: &str) -> &Self {
        let members = self.members.as_ref();
        let found = members.and_then(|members| members.named.get(name).or(members.others.as_deref()));
        found.unwrap_or(Self::text())
    }

    /// What a text is. One that is none of what it should be stays a text, for the schema to refuse.
    pub(super) fn value(&self, text: &str) -> Value {
        match text {
            "true" | "false" if self.boolean => Value::Bool(text == "true"),
            "null" if self.null => Value::Null,
            "" if self.null && !self.string => Value::Null,
            _ => match number(text).filter(|_| self.number) {
                Some(number) => Value::Number(number),
                None => text.into(),
            },
        }
    }
}

/// Whether a keyword refuses nothing.
pub(super) fn is_annotation(keyword: &str) -> bool {
    const NOTES: [&str; 9] =
        ["title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "$comment"];
    NOTES.contains(&keyword) || keyword.starts_with("x-")
}

/// A number as JSON writes it.
fn number(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    let begins = bytes.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    let ends = bytes.last().is_some_and(u8::is_ascii_digit);
    if begins && ends { serde_json::from_str(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_become_what_their_schema_allows() {
        let document = json!({"n": {"type": "integer"}, "both": {"oneOf": [{"$ref": "#/n"}, {"enum": [true]}]}});
        for (schema, text, value) in [
            (json!({"$ref": "#/n"}), "7", json!(7)),
            (json!({"$ref": "#/n"}), "7x", json!("7x")),
            (json!({"$ref": "#/n"}), " 7", json!(" 7")),
            (json!({"$ref": "#/n"}), "-1.5e3", json!(-1500.0)),
            (json!({"$ref": "#/both"}), "true", json!(true)),
            (json!({"$ref": "#/both"}), "false", json!(false)),
            (json!({"type": "string"}), "7", json!("7")),
            (json!({"type": ["string", "null"]}), "null", Value::Null),
            (json!({"type": ["number", "null"]}), "", Value::Null),
            (json!({}), "7", json!("7")),
            (json!({"$ref": "#/gone"}), "7", json!("7")),
        ] {
            assert_eq!(Shape::of(&document, &schema, &Work::new()).value(text), value, "{schema} {text}");
        }
    }

    #[test]
    fn a_schema_that_holds_itself_has_an_end() {
        let document = json!({"tree": {"properties": {"left": {"$ref": "#/tree"}, "right": {"$ref": "#/tree"}},
            "items": {"$ref": "#/tree"}, "allOf": [{"$ref": "#/tree"}]}});
        let shape = Shape::of(&document, &json!({"$ref": "#/tree"}), &Work::new());
        assert!(shape.is_object() || shape.is_array(2));
        let of = |wide: Value, steps| {
            let work = Work::of(steps);
            Shape::of(&json!({"wide": wide}), &json!({"$ref": "#/wide"}), &work);
            work.judge()
        };
        assert_eq!(of(json!({"allOf": vec![json!({"$ref": "#/wide"}); 100]}), 1000), Ok(()));
        let members: serde_json::Map<_, _> = (0..200).map(|at| (at.to_string(), json!({"$ref": "#/wide"}))).collect();
        assert!(of(json!({"properties": members}), 100_000).is_err());
    }

    #[test]
    fn null_beside_an_object_or_array_makes_no_text_of_it() {
        for (schema, object, array) in [
            (json!({"type": ["object", "null"]}), true, false),
            (json!({"anyOf": [{"type": "null"}, {"type": "array", "items": {}}]}), false, true),
            (json!({"type": ["object", "string"]}), false, false),
        ] {
            let shape = Shape::of(&Value::Null, &schema, &Work::new());
            assert_eq!((shape.is_object(), shape.is_array(1)), (object, array), "{schema}");
        }
    }
}
