//! A JSON Schema as rows of a table.
use serde_json::Value;

use super::prose::unlinked;

/// One field.
pub(crate) struct Row {
    /// Where it stands: `rules[].count`.
    pub(crate) path: String,
    kind: String,
    /// What it is.
    pub(crate) says: String,
}

impl Row {
    pub(crate) fn line(&self) -> String {
        format!("| `{}` | {} | {} |\n", self.path, self.kind, self.says)
    }
}

/// The fields of an object's schema in the order of names, those of inner objects below the field that holds them.
pub(crate) fn rows(schema: &Value) -> Vec<Row> {
    let mut schema = schema.clone();
    schema.sort_all_objects();
    let mut rows = Vec::new();
    let reader = Reader { definitions: &schema["$defs"] };
    reader.fields(&schema, "", &mut rows, 0);
    rows
}

struct Reader<'s> {
    definitions: &'s Value,
}

impl<'s> Reader<'s> {
    fn fields(&self, schema: &'s Value, place: &str, rows: &mut Vec<Row>, depth: u8) {
        // An expression may hold expressions.
        if depth > 4 {
            return;
        }
        let required: Vec<_> = list(&schema["required"]).filter_map(Value::as_str).collect();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            let target = self.resolve(field);
            let own = field["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
            let mut says = unlinked(own).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let words = self.words(target);
            if !words.is_empty() && !words.iter().all(|(word, _)| says.contains(&format!("`{word}`"))) {
                let told = words.iter().map(|(word, means)| match means {
                    Some(means) => format!("`{word}` ({})", means.trim_end_matches('.')),
                    None => format!("`{word}`"),
                });
                says = format!("{says} One of {}.", told.collect::<Vec<_>>().join(", "));
            }
            let lower = says.to_lowercase();
            if required.contains(&name.as_str()) && !lower.contains("required") {
                says = format!("{says} Required.");
            } else if let Some(default) = field.get("default").filter(|default| !default.is_null())
                && !lower.contains("default")
            {
                says = format!("{says} Default `{default}`.");
            }
            rows.push(Row { path: path.clone(), kind: self.kind(field), says: says.trim().to_owned() });
            self.inner(target, &path, rows, depth);
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            list(&schema[key]).for_each(|part| self.fields(self.resolve(part), place, rows, depth + 1));
        }
    }

    /// The fields of what a field holds.
    fn inner(&self, target: &'s Value, path: &str, rows: &mut Vec<Row>, depth: u8) {
        if target["properties"].is_object() {
            self.fields(target, path, rows, depth + 1);
        } else if target["items"].is_object() {
            self.inner(self.resolve(&target["items"]), &format!("{path}[]"), rows, depth);
        } else if target["additionalProperties"].is_object() {
            self.inner(self.resolve(&target["additionalProperties"]), &format!("{path}.*"), rows, depth);
        } else {
            for key in ["allOf", "anyOf", "oneOf"] {
                let parts: Vec<_> = list(&target[key]).map(|part| self.resolve(part)).collect();
                parts.into_iter().for_each(|part| self.inner(part, path, rows, depth + 1));
            }
        }
    }

    /// What a schema stands for: through references, and through `null` beside one other.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.resolve(&self.definitions[name]);
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            let mut parts = list(&schema[key]).filter(|part| part["type"] != "null");
            if let (Some(one), None) = (parts.next(), parts.next()) {
                return self.resolve(one);
            }
        }
        schema
    }

    /// The type in a word or two.
    fn kind(&self, schema: &'s Value) -> String {
        let schema = self.resolve(schema);
        if schema.is_boolean() {
            return "any".to_owned();
        }
        if !self.words(schema).is_empty() {
            return "string".to_owned();
        }
        let names: Vec<_> = match &schema["type"] {
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
            _ => {
                let parts = ["anyOf", "oneOf"].iter().flat_map(|key| list(&schema[*key]));
                let mut kinds: Vec<_> =
                    parts.filter(|part| part["type"] != "null").map(|part| self.kind(part)).collect();
                kinds.dedup();
                return if kinds.is_empty() { "any".to_owned() } else { kinds.join(" or ") };
            }
        };
        match names[..] {
            ["array"] if schema["items"].is_object() => format!("array of {}", self.kind(&schema["items"])),
            ["object"] if schema["additionalProperties"].is_object() => {
                format!("object of {}", self.kind(&schema["additionalProperties"]))
            }
            _ => names.join(" or "),
        }
    }

    /// The words of an enumeration, with what each means.
    fn words(&self, schema: &'s Value) -> Vec<(&'s str, Option<&'s str>)> {
        if let Some(words) = schema["enum"].as_array() {
            return words.iter().filter_map(Value::as_str).map(|word| (word, None)).collect();
        }
        let parts: Vec<_> = list(&schema["oneOf"]).collect();
        let all: Vec<_> = parts
            .iter()
            .flat_map(|part| match (part["const"].as_str(), part["enum"].as_array()) {
                (Some(word), _) => vec![(word, part["description"].as_str())],
                (None, Some(words)) => words.iter().filter_map(Value::as_str).map(|word| (word, None)).collect(),
                _ => Vec::new(),
            })
            .collect();
        if all.len() >= parts.len() { all } else { Vec::new() }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[test]
fn fields_are_told_with_type_and_words() {
    let schema = serde_json::json!({
        "$defs": {"Mode": {"oneOf": [{"const": "a", "description": "First."}, {"const": "b"}]},
                  "Rule": {"type": "object", "properties": {"count": {"type": "integer", "description": "How many, 1 up."}}, "required": ["count"]}},
        "properties": {
            "mode": {"$ref": "#/$defs/Mode", "description": "Which.", "default": "a"},
            "rules": {"type": "array", "items": {"$ref": "#/$defs/Rule"}, "description": "The [`Rule`]s. Default none."},
            "name": {"type": ["string", "null"], "description": "A | B."},
        }
    });
    let lines: Vec<_> = rows(&schema).iter().map(Row::line).collect();
    assert_eq!(
        lines,
        [
            "| `mode` | string | Which. One of `a` (First), `b`. Default `\"a\"`. |\n",
            "| `name` | string | A \\| B. |\n",
            "| `rules` | array of object | The `Rule`s. Default none. |\n",
            "| `rules[].count` | integer | How many, 1 up. Required. |\n",
        ]
    );
}
