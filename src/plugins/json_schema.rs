//! JSON Schema, as plugins judge requests by it.
//!
//! Patterns run in linear time where they can: with the `regex` engine. Those that look around need another engine; what one of
//! them may cost is bounded, and a text that costs more does not match.
use jsonschema::{Draft, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

/// Steps back that a pattern may take on one text.
const STEPS_BACK: usize = 10_000;

/// Longest text about a fault, in characters: names of fields in it are the client's.
const TOLD: usize = 300;

/// Compiles a schema by itself. One without `$schema` is of draft 7; if it is none, of draft 4.
///
/// # Errors
/// What is wrong with it.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    if schema.get("$schema").is_some() {
        return build(&jsonschema::options(), schema);
    }
    let of = |draft| build(&jsonschema::options().with_draft(draft), schema);
    of(Draft::Draft7).or_else(|error| of(Draft::Draft4).map_err(|_| error))
}

/// Compiles a schema under these options. References lead nowhere outside of what the options know.
///
/// # Errors
/// What is wrong with it.
pub(super) fn build(options: &ValidationOptions<'_>, schema: &Value) -> Result<Validator, String> {
    let linear = options.clone().with_pattern_options(PatternOptions::regex()).build(schema);
    linear.or_else(|_| {
        let looking_around = PatternOptions::fancy_regex().backtrack_limit(STEPS_BACK);
        let built = options.clone().with_pattern_options(looking_around).build(schema);
        built.map_err(|error| match error.schema_path().as_str() {
            "" => error.to_string(),
            _ => format!("{error}, in {}", error.instance_path()),
        })
    })
}

/// What a client is told of a fault: where it is and what is wrong there, without the value.
pub(super) fn describe(error: &ValidationError<'_>) -> String {
    let at = error.instance_path().as_str();
    let text = match at {
        "" => error.masked().to_string(),
        _ => format!("{at}: {}", error.masked()),
    };
    match text.char_indices().nth(TOLD) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Judges a value.
///
/// # Errors
/// The first fault, in words.
pub(super) fn judge(validator: &Validator, value: &Value) -> Result<(), String> {
    validator.validate(value).map_err(|error| describe(&error))
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
            let validator = compile(&schema).unwrap();
            assert!(validator.is_valid(&good) && !validator.is_valid(&bad), "{schema}");
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
            assert!(compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn patterns_that_look_around_are_bounded_and_others_linear() {
        let word = compile(&json!({"pattern": "^(?=.*\\d)[a-z0-9]+$"})).unwrap();
        assert!(word.is_valid(&json!("a1")) && !word.is_valid(&json!("ab")));
        let catastrophe = compile(&json!({"pattern": "^(?=(a+)+$)b|^(\\w+)\\2+$"})).unwrap();
        let begun = std::time::Instant::now();
        assert!(!catastrophe.is_valid(&json!(format!("{}!", "a".repeat(2000)))));
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_fault_is_told_with_its_place_and_without_the_value() {
        let schema =
            compile(&json!({"properties": {"a": {"items": {"type": "integer"}}}, "additionalProperties": false}));
        let schema = schema.unwrap();
        let told = |value| judge(&schema, &value).unwrap_err();
        assert_eq!(told(json!({"a": [1, "secret"]})), r#"/a/1: value is not of type "integer""#);
        let long = told(json!({"x".repeat(10_000): 1}));
        assert!(long.chars().count() == TOLD + 1 && long.ends_with('…'), "{long}");
    }
}
