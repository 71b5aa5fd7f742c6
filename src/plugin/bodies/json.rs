//! JSON within bounds (security.md LIM-15).
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::LazyLock;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Bodies, Misread};

impl Bodies {
    /// The value that a JSON text is.
    ///
    /// # Errors
    /// [`Misread`]: no JSON, too deep, too many values, or one name twice in an object.
    pub fn json(&self, text: &[u8]) -> Result<Value, Misread> {
        let reading = Reading { bodies: self, nodes: Cell::new(0), fault: RefCell::new(None) };
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        // our own depth holds, and its limit is the gateway's to set
        let value = Node { reading: &reading, depth: 0 }.deserialize(&mut deserializer);
        let value = value.and_then(|value| deserializer.end().map(|()| value));
        value.map_err(|error| reading.fault.take().unwrap_or_else(|| Misread::Malformed(error.to_string())))
    }
}

/// What is counted over a whole text.
struct Reading<'a> {
    bodies: &'a Bodies,
    nodes: Cell<usize>,
    fault: RefCell<Option<Misread>>,
}

impl Reading<'_> {
    fn refuse<E: de::Error>(&self, fault: Misread) -> E {
        let error = E::custom(&fault);
        *self.fault.borrow_mut() = Some(fault);
        error
    }
}

/// One value, so deep inside others.
#[derive(Clone, Copy)]
struct Node<'a> {
    reading: &'a Reading<'a>,
    depth: usize,
}

impl<'a> Node<'a> {
    fn inner<E: de::Error>(self) -> Result<Node<'a>, E> {
        let most = self.reading.bodies.depth;
        if self.depth >= most {
            return Err(self.reading.refuse(Misread::TooDeep(most)));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let (nodes, most) = (self.reading.nodes.get() + 1, self.reading.bodies.nodes);
        if nodes > most {
            return Err(self.reading.refuse(Misread::TooMany(most)));
        }
        self.reading.nodes.set(nodes);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        let mut inner = None;
        while let Some(name) = map.next_key::<String>()? {
            if fields.is_empty() && name == NUMBER && *NUMBERS_ARE_TEXTS {
                let number: String = map.next_value()?;
                return number.parse::<Number>().map(Value::Number).map_err(de::Error::custom);
            }
            let inner = match inner {
                Some(inner) => inner,
                None => *inner.insert(self.inner()?),
            };
            if fields.contains_key(&name) {
                return Err(self.reading.refuse(Misread::Twice(name)));
            }
            let value = map.next_value_seed(inner)?;
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
}

/// How `serde_json` hands out numbers as texts, if some crate of the program has that turned on (`arbitrary_precision`).
const NUMBER: &str = "$serde_json::private::Number";

static NUMBERS_ARE_TEXTS: LazyLock<bool> =
    LazyLock::new(|| serde_json::from_str::<Number>("0.10").is_ok_and(|number| number.to_string() == "0.10"));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::Limits;

    fn bodies(depth: u32, nodes: u32) -> Bodies {
        let limits = Limits { max_parse_depth: depth, max_parse_nodes: nodes, ..Limits::default() };
        Bodies::new(Bodies::default().room, &limits)
    }

    #[test]
    fn sec_lim_15_depth_number_and_names_are_bounded() {
        let bounded = bodies(2, 5);
        let cases = [
            ("[[1]]", Ok(json!([[1]]))),
            ("[[[1]]]", Err(Misread::TooDeep(2))),
            (r#"{"a": {"b": {}}}"#, Ok(json!({"a": {"b": {}}}))),
            (r#"{"a": {"b": {"c": 1}}}"#, Err(Misread::TooDeep(2))),
            ("[1, 2, 3, 4]", Ok(json!([1, 2, 3, 4]))),
            ("[1, 2, 3, 4, 5]", Err(Misread::TooMany(5))),
            (r#"{"a": 1, "b": 2, "a": 3}"#, Err(Misread::Twice("a".to_owned()))),
            (r#"{"a": 1, "\u0061": 3}"#, Err(Misread::Twice("a".to_owned()))),
            (r#"{"$serde_json::private::Number": "1"}"#, Ok(json!({"$serde_json::private::Number": "1"}))),
        ];
        for (text, expected) in cases {
            assert_eq!(bounded.json(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_bomb_of_brackets_costs_no_stack() {
        let bomb = "[".repeat(1 << 20);
        assert_eq!(Bodies::default().json(bomb.as_bytes()), Err(Misread::TooDeep(64)));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        for text in ["", "{", "[1,]", "{} {}", "{\"a\":}", "nul", "\"\u{1}\"", "1 2"] {
            let error = Bodies::default().json(text.as_bytes()).unwrap_err();
            assert!(matches!(&error, Misread::Malformed(text) if text.contains("line 1 column")), "{text}: {error}");
        }
        assert!(Bodies::default().json(b"\"\xff\"").is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            proptest::num::f64::NORMAL.prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| {
            let object = proptest::collection::btree_map(".{0,5}", inner.clone(), 0..8);
            prop_oneof![
                proptest::collection::vec(inner, 0..8).prop_map(Value::from),
                object.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_within_bounds_is_read_as_ever(value in value()) {
            let text = value.to_string();
            prop_assert_eq!(Bodies::default().json(text.as_bytes()), Ok(serde_json::from_str(&text).unwrap()));
        }

        #[test]
        fn any_bytes_are_answered(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let read = Bodies::default().json(&text).is_ok();
            prop_assert!(!read || serde_json::from_slice::<Value>(&text).is_ok());
        }
    }
}
