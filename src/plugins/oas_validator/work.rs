//! How much work a document may be. References lead to schemas that lead to others, so a short document can be as much work as
//! anybody likes.
use std::cell::Cell;

use serde_json::Value;

use super::reference::{pointer, resolve};
use super::shape::is_annotation;

/// Steps, each of about a microsecond and some hundred bytes of what is compiled.
const MOST: usize = 5_000_000;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Work(Cell<usize>);

impl Work {
    pub(super) fn new() -> Self {
        Self(Cell::new(MOST))
    }

    #[cfg(test)]
    pub(super) fn of(steps: usize) -> Self {
        Self(Cell::new(steps))
    }

    /// Takes so many steps. `false`: there are none left, and whatever comes of going on is of no use.
    pub(super) fn spend(&self, steps: usize) -> bool {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }

    /// # Errors
    /// When there was too much to do.
    pub(super) fn judge(&self) -> Result<(), String> {
        match self.0.get() {
            0 => Err(format!(
                "its schemas lead to one another so often that it takes more than {MOST} steps to compile: split the document"
            )),
            _ => Ok(()),
        }
    }

    /// Takes a step for each value of the schema at a place and of those that it leads to.
    pub(super) fn spend_on(&self, document: &Value, place: &str) {
        let mut seen = std::collections::HashSet::from([place.to_owned()]);
        let mut next: Vec<&Value> = document.pointer(place).into_iter().collect();
        while let Some(value) = next.pop() {
            if !self.spend(1) {
                return;
            }
            match value {
                Value::Array(items) => next.extend(items),
                Value::Object(fields) => {
                    next.extend(fields.iter().filter(|(name, _)| !is_annotation(name)).map(|(_, field)| field));
                }
                _ => {}
            }
            let target = value.get("$ref").and_then(Value::as_str).and_then(|text| pointer(text).ok());
            if let Some(Ok((target, place))) = target.map(|place| resolve(document, place))
                && seen.insert(place)
            {
                next.push(target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_schema_counts_once_at_a_place_and_at_every_place_anew() {
        let document =
            json!({"a": {"$ref": "#/b"}, "b": {"allOf": [{"$ref": "#/b"}, {"$ref": "#/b"}, {"$ref": "#/gone"}]}});
        let work = Work::of(100);
        work.spend_on(&document, "/a");
        // the reference and its text, `b`, its list, and three references with their texts
        assert_eq!(work.0.get(), 90);
        work.spend_on(&document, "/a");
        assert_eq!((work.0.get(), work.judge()), (80, Ok(())));
        let little = Work::of(9);
        little.spend_on(&document, "/a");
        assert!(little.judge().unwrap_err().contains("split the document"));
    }
}
