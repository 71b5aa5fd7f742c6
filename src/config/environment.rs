//! `${{NAME}}` and `${{NAME:=default}}` in documents.
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::Fault;

/// Where variables are looked up.
#[derive(Clone)]
pub(super) struct Environment(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Environment {
    /// The process's own.
    pub(super) fn process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    pub(super) fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// `text` with every reference replaced. `None` if there was none.
    pub(super) fn expand(&self, text: &str) -> Result<Option<String>, Undefined> {
        let mut expanded = String::new();
        let mut rest = text;
        let mut used = false;
        while let Some((before, reference, after)) = next_reference(rest) {
            used = true;
            let (name, default) = match reference.split_once(":=") {
                Some((name, default)) => (name.trim(), Some(default.trim())),
                None => (reference.trim(), None),
            };
            expanded.push_str(before);
            match self.lookup(name).or_else(|| default.map(str::to_owned)) {
                Some(value) => expanded.push_str(&value),
                None => {
                    let at = text.len() - after.len();
                    let lines = text.get(..at).unwrap_or_default().bytes().filter(|byte| *byte == b'\n').count();
                    return Err(Undefined { name: name.to_owned(), line: u32::try_from(lines + 1).ok() });
                }
            }
            rest = after;
        }
        expanded.push_str(rest);
        Ok(used.then_some(expanded))
    }

    /// Replaces the references in all strings and keys of `value`. A whole value that then looks like a number or a
    /// boolean becomes one. Keys that become the same are a fault, as keys that stand twice are.
    pub(super) fn expand_value(&self, value: &mut Value) -> Result<(), Fault> {
        match value {
            Value::String(text) => {
                if let Some(expanded) = self.expand(text).map_err(Fault::without_line)? {
                    *value = match serde_json::from_str(&expanded) {
                        Ok(scalar @ (Value::Number(_) | Value::Bool(_))) => scalar,
                        _ => Value::String(expanded),
                    };
                }
                Ok(())
            }
            Value::Array(list) => list.iter_mut().try_for_each(|value| self.expand_value(value)),
            Value::Object(object) => {
                object.values_mut().try_for_each(|value| self.expand_value(value))?;
                if object.keys().any(|key| next_reference(key).is_some()) {
                    let mut expanded = Map::new();
                    for (key, value) in std::mem::take(object) {
                        let name = self.expand(&key).map_err(Fault::without_line)?.unwrap_or(key);
                        if expanded.contains_key(&name) {
                            return Err(Fault::twice(&name));
                        }
                        expanded.insert(name, value);
                    }
                    *object = expanded;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn lookup(&self, name: &str) -> Option<String> {
        (!name.is_empty()).then(|| (self.0)(name)).flatten()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// A variable that is not set and has no default.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undefined {
    pub(super) name: String,
    pub(super) line: Option<u32>,
}

impl Fault {
    fn without_line(undefined: Undefined) -> Self {
        Self::Undefined(Undefined { line: None, ..undefined })
    }
}

/// The 1-based line of the first reference to `name`.
pub(super) fn line_of(text: &str, name: &str) -> Option<u32> {
    let mut references = text.match_indices("${{").filter_map(|(at, _)| Some((at, next_reference(text.get(at..)?)?.1)));
    let (at, _) = references.find(|(_, inner)| inner.split(":=").next().is_some_and(|found| found.trim() == name))?;
    u32::try_from(text.get(..at)?.matches('\n').count() + 1).ok()
}

/// What stands before, in and after the first reference.
fn next_reference(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${{")?;
    let (reference, after) = rest.split_once("}}")?;
    Some((before, reference, after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment() -> Environment {
        Environment::new(|name| match name {
            "HOST" => Some("a.test".to_owned()),
            "PORT" => Some("8080".to_owned()),
            "ON" => Some("true".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn text_is_expanded() {
        for (text, expected) in [
            ("nothing", None),
            ("${HOST} $HOST {{HOST}}", None),
            ("${{HOST}}:${{PORT}}", Some("a.test:8080")),
            ("${{ HOST }}", Some("a.test")),
            ("${{EMPTY}}x", Some("x")),
            ("${{EMPTY:=full}}", Some("")),
            ("${{NONE:=127.0.0.1:1}}", Some("127.0.0.1:1")),
            ("${{ NONE := }}", Some("")),
            ("${{ NONE :=x }}", Some("x")),
            ("${{NONE := x y }}", Some("x y")),
            ("${{HOST", None),
        ] {
            assert_eq!(environment().expand(text), Ok(expected.map(str::to_owned)), "{text}");
        }
        for (text, name, line) in [("a\nb ${{NONE}}", "NONE", 2), ("${{}}", "", 1), ("${{a b}}", "a b", 1)] {
            let undefined = Undefined { name: name.to_owned(), line: Some(line) };
            assert_eq!(environment().expand(text), Err(undefined), "{text}");
        }
    }

    #[test]
    fn values_are_expanded_and_typed() {
        let mut value = json!({"a": "${{PORT}}", "b": ["${{ON}}", "x${{PORT}}"], "${{HOST}}:80": 1, "c": "8080", "d": "${{EMPTY}}"});
        assert_eq!(environment().expand_value(&mut value), Ok(()));
        assert_eq!(value, json!({"a": 8080, "b": [true, "x8080"], "a.test:80": 1, "c": "8080", "d": ""}));
        let undefined = Undefined { name: "NONE".to_owned(), line: None };
        assert_eq!(environment().expand_value(&mut json!([{"${{NONE}}": 1}])), Err(Fault::Undefined(undefined)));
        let twice = environment().expand_value(&mut json!({"${{HOST}}": 1, "a.test": 2}));
        assert_eq!(twice, Err(Fault::twice("a.test")));
    }
}
