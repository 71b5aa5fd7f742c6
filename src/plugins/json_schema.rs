//! JSON Schema, as plugins judge requests by it.
//!
//! Patterns run in linear time where they can: with the `regex` engine. Those that look around need another engine; what one of
//! them may cost is bounded, and a text that costs more does not match.
use jsonschema::{Draft, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

use crate::plugin::Caveat;

/// Steps back that a pattern may take on one text.
const STEPS_BACK: usize = 4_000;

/// Longest text about a fault, in characters: names of fields in it are the client's.
const TOLD: usize = 300;

/// Longest text in a value, in bytes, that is judged where patterns look around: each step back may look at all of it.
const LONGEST_TEXT: usize = 8 * 1024;

/// A schema, compiled.
#[derive(Debug)]
pub(super) struct Schema {
    validator: Validator,
    /// One of its patterns does at least.
    looks_around: bool,
}

impl Schema {
    /// Compiles a schema by itself. One without `$schema` is of draft 7; if it is none, of draft 4.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        if schema.get("$schema").is_some() {
            return Self::build(&jsonschema::options(), schema);
        }
        let of = |draft| Self::build(&jsonschema::options().with_draft(draft), schema);
        of(Draft::Draft7).or_else(|error| of(Draft::Draft4).map_err(|_| error))
    }

    /// Compiles a schema under these options. References lead nowhere outside of what the options know.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn build(options: &ValidationOptions<'_>, schema: &Value) -> Result<Self, String> {
        if let Ok(validator) = options.clone().with_pattern_options(PatternOptions::regex()).build(schema) {
            return Ok(Self { validator, looks_around: false });
        }
        let looking_around = PatternOptions::fancy_regex().backtrack_limit(STEPS_BACK);
        let built = options.clone().with_pattern_options(looking_around).build(schema);
        let validator = built.map_err(|error| match error.schema_path().as_str() {
            "" => error.to_string(),
            _ => format!("{error}, in {}", error.instance_path()),
        })?;
        Ok(Self { validator, looks_around: true })
    }

    /// Judges a value.
    ///
    /// # Errors
    /// The first fault, in words, without the value.
    pub(super) fn judge(&self, value: &Value) -> Result<(), String> {
        if self.looks_around && has_long_text(value) {
            return Err(format!(
                "a text is longer than {LONGEST_TEXT} bytes, which is too long for patterns that look around"
            ));
        }
        self.validator.validate(value).map_err(|error| describe(&error))
    }
}

/// The doubt about a block that lets bodies take more memory than one should (security.md LIM-04).
pub(super) fn held_bodies(most: u64) -> Option<Caveat> {
    const USUAL: u64 = 1024 * 1024;
    let message = format!("lets one body take {most} bytes of memory, which others then lack");
    let mend = format!("write what the service takes, such as {USUAL}");
    (most > USUAL).then(|| Caveat::new("max_req_body_size", message, mend))
}

fn has_long_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() > LONGEST_TEXT,
        Value::Array(items) => items.iter().any(has_long_text),
        Value::Object(members) => members.values().any(has_long_text),
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
pub(super) fn shortened(text: &str) -> String {
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
        assert!(word.judge(&json!("a1")).is_ok() && word.judge(&json!("ab")).is_err());
        let catastrophe = Schema::compile(&json!({"pattern": "^(?=(a+)+$)b|^(\\w+)\\2+$"})).unwrap();
        let begun = std::time::Instant::now();
        assert!(catastrophe.judge(&json!(format!("{}!", "a".repeat(2000)))).is_err());
        let anywhere = Schema::compile(&json!({"items": {"pattern": "(?=.*[A-Z])(?=.*\\d).{8,}"}})).unwrap();
        assert!(anywhere.judge(&json!(["a".repeat(2000)])).is_err());
        let told = anywhere.judge(&json!([{"any": ["a".repeat(1 << 20)]}])).unwrap_err();
        assert!(told.contains("longer than 8192 bytes"), "{told}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
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
