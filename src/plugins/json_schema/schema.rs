//! [`Schema`].
use jsonschema::{Draft, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

use super::pattern::{LONGEST_NAME, Patterns, decided};
use super::width::Width;
use crate::plugin::Caveat;

/// Longest text about a fault, in characters: names of fields in it are the client's.
const TOLD: usize = 300;

/// A schema, compiled.
#[derive(Debug)]
pub(in crate::plugins) struct Schema {
    validator: Validator,
    patterns: Patterns,
    width: Width,
}

impl Schema {
    /// Compiles a schema by itself. One without `$schema` is of draft 7; if it is none, of draft 4.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::plugins) fn compile(schema: &Value) -> Result<Self, String> {
        let width = Width::of(schema);
        if schema.get("$schema").is_some() {
            return Self::build(&jsonschema::options(), schema, width);
        }
        let of = |draft| Self::build(&jsonschema::options().with_draft(draft), schema, width);
        of(Draft::Draft7).or_else(|error| of(Draft::Draft4).map_err(|_| error))
    }

    /// Compiles a schema under these options. References lead nowhere outside of what the options know; `width` is of the document
    /// that they lead into.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::plugins) fn build(
        options: &ValidationOptions<'_>,
        schema: &Value,
        width: Width,
    ) -> Result<Self, String> {
        let [linear, texts, names] = Patterns::ALL;
        let of = |patterns: Patterns| {
            let validator = patterns.of(options.clone()).build(schema)?;
            Ok(Self { validator, patterns, width })
        };
        of(linear).or_else(|_| of(texts)).or_else(|_| of(names)).map_err(|error: ValidationError<'_>| {
            match error.schema_path().as_str() {
                "" => error.to_string(),
                _ => format!("{error}, in {}", error.instance_path()),
            }
        })
    }

    /// Judges a value.
    ///
    /// # Errors
    /// The first fault, in words, without the value.
    pub(in crate::plugins) fn judge(&self, value: &Value) -> Result<(), String> {
        if self.patterns == Patterns::Names && has_long_name(value) {
            return Err(format!(
                "a name is longer than {LONGEST_NAME} bytes, which is too long for patterns that look around"
            ));
        }
        match self.patterns {
            Patterns::Linear => self.fits(value).map_err(|()| self.fault(value)),
            _ => decided(|| self.fits(value), |()| self.fault(value)),
        }
    }

    fn fits(&self, value: &Value) -> Result<(), ()> {
        self.validator.is_valid(value).then_some(()).ok_or(())
    }

    /// What is wrong with a value that does not fit.
    fn fault(&self, value: &Value) -> String {
        if !self.width.lets_tell(value) {
            return "value does not fit; it has too many alternatives (`anyOf`, `oneOf`) to say where".to_owned();
        }
        match self.validator.validate(value) {
            Err(error) => describe(&error),
            Ok(()) => "value does not fit".to_owned(),
        }
    }
}

/// The doubt about a block that lets bodies take more memory than one should (security.md LIM-04).
pub(in crate::plugins) fn held_bodies(most: u64) -> Option<Caveat> {
    const USUAL: u64 = 1024 * 1024;
    let message = format!("lets one body take {most} bytes of memory, which others then lack");
    let mend = format!("write what the service takes, such as {USUAL}");
    (most > USUAL).then(|| Caveat::new("max_req_body_size", message, mend))
}

fn has_long_name(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_long_name),
        Value::Object(members) => {
            members.iter().any(|(name, member)| name.len() > LONGEST_NAME || has_long_name(member))
        }
        _ => false,
    }
}

/// What a client is told of a fault: where it is and what is wrong there, without the value.
fn describe(error: &ValidationError<'_>) -> String {
    let text = match error.instance_path().as_str() {
        "" => error.masked().to_string(),
        at => format!("{at}: {}", error.masked()),
    };
    shortened(&text)
}

/// A text about a fault, as far as it goes into answers and logs: names in it are the client's.
pub(in crate::plugins) fn shortened(text: &str) -> String {
    let mut told: String =
        text.chars().take(TOLD).map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect();
    if text.chars().nth(TOLD).is_some() {
        told.push('…');
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_of_the_draft_that_fits() {
        for (schema, good, bad) in [
            (json!({"minimum": 3, "exclusiveMinimum": true}), json!(4), json!(3)),
            (json!({"exclusiveMinimum": 3}), json!(4), json!(3)),
            (json!({"const": 1}), json!(1), json!(2)),
            (
                json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "null"}]}),
                json!([null]),
                json!([1]),
            ),
        ] {
            let schema = Schema::compile(&schema).unwrap();
            assert!(schema.judge(&good).is_ok() && schema.judge(&bad).is_err(), "{good} {bad}");
        }
    }

    #[test]
    fn what_is_no_schema_or_leads_elsewhere_is_refused() {
        for schema in [
            json!({"type": "strange"}),
            json!({"$ref": "#/definitions/missing"}),
            json!({"$ref": "https://elsewhere.test/a.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"pattern": "("}),
        ] {
            assert!(Schema::compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn patterns_that_look_around_are_bounded_and_others_linear() {
        let word = Schema::compile(&json!({"pattern": "^(?=.*\\d)[a-z0-9]+$"})).unwrap();
        assert!(word.judge(&json!("a1")).is_ok());
        assert_eq!(word.judge(&json!("ab")).unwrap_err(), r#"value does not match "^(?=.*\d)[a-z0-9]+$""#);
        assert!(word.judge(&json!(format!("1{}", "a".repeat(60_000)))).is_ok(), "a long text that is easy");
        let begun = std::time::Instant::now();
        let catastrophe = Schema::compile(&json!({"pattern": "^(?=(a+)+$)b|^(\\w+)\\2+$"})).unwrap();
        let anywhere = Schema::compile(&json!({"items": {"pattern": "(?=.*[A-Z])(?=.*\\d).{8,}"}})).unwrap();
        for length in [200, 2_000, 8_000, 60_000] {
            let text = "a".repeat(length);
            assert!(catastrophe.judge(&json!(format!("{text}!"))).is_err());
            assert!(anywhere.judge(&json!([text])).is_err());
        }
        let told = anywhere.judge(&json!(["a".repeat(1 << 20)])).unwrap_err();
        assert!(told.contains("longer than 65536 bytes"), "{told}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_pattern_that_looks_around_leaves_others_and_long_texts_alone() {
        let schema = json!({"properties": {"password": {"pattern": "^(?=.*\\d).{8,}$"}, "word": {"pattern": "^a*$"}}});
        let schema = Schema::compile(&schema).unwrap();
        assert_eq!(schema.patterns, Patterns::Texts);
        let long = "a".repeat(1 << 20);
        assert_eq!(schema.judge(&json!({"password": "secret-1", "word": long, "picture": long})), Ok(()));
        assert!(schema.judge(&json!({"password": "secret-1", "word": "b"})).unwrap_err().starts_with("/word: "));
        assert!(schema.judge(&json!({"password": long})).is_err());
    }

    #[test]
    fn what_nobody_can_judge_passes_no_negation() {
        let dear = json!({"pattern": "(?=.*[A-Z])(?=.*\\d).{8,}"});
        for schema in [
            dear.clone(),
            json!({"not": dear}),
            json!({"anyOf": [dear, {"not": dear}, true]}),
            json!({"if": dear, "then": true, "else": true}),
            json!({"allOf": [true, {"not": {"not": {"not": dear}}}]}),
        ] {
            let schema = Schema::compile(&schema).unwrap();
            let told = schema.judge(&json!("a".repeat(8_000))).unwrap_err();
            assert_eq!(told, "a text takes too many steps back to be judged by a pattern that looks around");
            let long = schema.judge(&json!("a".repeat(70_000))).unwrap_err();
            assert!(long.contains("longer than 65536 bytes"), "{long}");
        }
        let schema = Schema::compile(&json!({"not": dear})).unwrap();
        assert!(schema.judge(&json!("a".repeat(8_000))).is_err());
        assert_eq!(schema.judge(&json!("a b")), Ok(()), "nothing is left behind");
    }

    #[test]
    fn names_are_short_where_they_are_looked_around_in() {
        let schema = json!({"patternProperties": {"^(?!x-)": {"type": "integer"}}, "additionalProperties": false});
        let schema = Schema::compile(&schema).unwrap();
        assert_eq!(schema.patterns, Patterns::Names);
        assert!(schema.judge(&json!({"a": 1})).is_ok() && schema.judge(&json!({"x-a": 1})).is_err());
        let told = schema.judge(&json!({"a".repeat(257): 1})).unwrap_err();
        assert_eq!(told, "a name is longer than 256 bytes, which is too long for patterns that look around");
        let linear = Schema::compile(&json!({"patternProperties": {"^a": {"type": "integer"}}})).unwrap();
        assert_eq!((linear.patterns, linear.judge(&json!({"a".repeat(257): 1}))), (Patterns::Linear, Ok(())));
    }

    #[test]
    fn sec_lim_15_alternatives_inside_of_alternatives_are_not_gone_through() {
        let kind = |name: &str| {
            json!({"type": "object", "required": ["op", "args"], "properties": {
                "op": {"enum": [name]}, "args": {"type": "array", "items": {"$ref": "#/definitions/node"}}}})
        };
        for all in ["anyOf", "oneOf"] {
            let node = json!({all: [kind("and"), kind("or"), kind("not"), {"type": "integer"}]});
            let schema = json!({"$ref": "#/definitions/node", "definitions": {"node": node}});
            let schema = Schema::compile(&schema).unwrap();
            let tree = |leaf: Value| (0..31).fold(leaf, |inner, _| json!({"op": "and", "args": [inner]}));
            assert_eq!(schema.judge(&tree(json!(1))), Ok(()));
            assert!(schema.judge(&tree(json!("1"))).unwrap_err().contains("too many alternatives"));
            let told = schema.judge(&json!({"op": "nand", "args": []})).unwrap_err();
            assert!(told.contains(all), "{told}");
        }
        let several = json!({"oneOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}, {"type": "string"}]});
        let several = Schema::compile(&several).unwrap();
        let deep = (0..60).fold(json!([]), |inner, _| json!([inner]));
        assert!(several.judge(&deep).is_err());
    }

    #[test]
    fn a_fault_is_told_with_its_place_and_without_the_value() {
        let schema = Schema::compile(
            &json!({"properties": {"a": {"items": {"type": "integer"}}}, "additionalProperties": false}),
        );
        let schema = schema.unwrap();
        let told = |value| schema.judge(&value).unwrap_err();
        assert_eq!(told(json!({"a": [1, "secret"]})), r#"/a/1: value is not of type "integer""#);
        let long = told(json!({"x".repeat(10_000): 1}));
        assert!(long.chars().count() == TOLD + 1 && long.ends_with('…'), "{long}");
        assert_eq!(shortened("a\nb"), "a\u{fffd}b", "a line of a log is one line");
    }
}
