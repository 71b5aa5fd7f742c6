//! Patterns one by one: those that look around apart from the others.
use std::cell::Cell;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::Location;
use jsonschema::{Keyword, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value, json};

/// Texts up to so many bytes, and the steps back that a pattern may take on one: each step may look at all of the text, so the
/// longer it is, the fewer there are. So one text takes some ten milliseconds at most.
const STEPS_BACK: [(usize, usize); 4] = [(256, 32_000), (2 * 1024, 4_000), (8 * 1024, 1_000), (64 * 1024, 125)];

/// Longest name of a member where names are judged by patterns that look around, in bytes.
pub(super) const LONGEST_NAME: usize = 256;

/// Steps back that a pattern may take on a name.
const STEPS_BACK_OF_NAMES: usize = 1_000;

/// Which patterns a schema may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patterns {
    /// None that looks around.
    Linear,
    /// Texts may be judged by some that do.
    Texts,
    /// Names of members as well.
    Names,
}

impl Patterns {
    /// From the cheapest to what takes any.
    pub(super) const ALL: [Self; 3] = [Self::Linear, Self::Texts, Self::Names];

    /// The same options, for such patterns.
    pub(super) fn of<'r>(self, options: ValidationOptions<'r>) -> ValidationOptions<'r> {
        let names = PatternOptions::fancy_regex().backtrack_limit(STEPS_BACK_OF_NAMES);
        match self {
            Self::Linear => options.with_pattern_options(PatternOptions::regex()),
            Self::Texts => options.with_pattern_options(PatternOptions::regex()).with_keyword("pattern", keyword),
            Self::Names => options.with_pattern_options(names).with_keyword("pattern", keyword),
        }
    }
}

thread_local! {
    /// Why the value that this thread judges cannot be judged: nobody knows whether it fits, so neither `not` nor `anyOf` may make
    /// anything of it.
    static UNDECIDED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

const TOO_LONG: &str = "a text is longer than 65536 bytes, which is too long for patterns that look around";
const TOO_DEAR: &str = "a text takes too many steps back to be judged by a pattern that looks around";

/// Judges a value.
///
/// # Errors
/// What `judge` says; or that a text of the value cannot be judged, whatever else there is.
pub(super) fn decided<E>(judge: impl FnOnce() -> Result<(), E>, told: impl FnOnce(E) -> String) -> Result<(), String> {
    UNDECIDED.set(None);
    let judged = judge();
    match UNDECIDED.take() {
        Some(why) => Err(why.to_owned()),
        None => judged.map_err(told),
    }
}

/// One pattern.
enum Pattern {
    Linear(Validator),
    /// By the length of texts.
    LooksAround(Box<[(usize, Validator)]>),
}

fn keyword<'a>(
    _: &'a Map<String, Value>,
    pattern: &'a Value,
    _: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let schema = json!({"pattern": pattern});
    let linear = jsonschema::options().with_pattern_options(PatternOptions::regex());
    if let Ok(linear) = linear.build(&schema) {
        return Ok(Box::new(Pattern::Linear(linear)));
    }
    let within = |(longest, steps): (usize, usize)| {
        let options = jsonschema::options().with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(steps));
        options.build(&schema).map(|validator| (longest, validator))
    };
    Ok(Box::new(Pattern::LooksAround(STEPS_BACK.into_iter().map(within).collect::<Result<_, _>>()?)))
}

impl<'i> Keyword<'i> for Pattern {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        let Value::String(text) = instance else { return Ok(()) };
        let undecided = |why| {
            UNDECIDED.set(UNDECIDED.get().or(Some(why)));
            Err(ValidationError::custom(why))
        };
        let judged = match self {
            Self::Linear(validator) => validator.validate(instance),
            // one is enough
            Self::LooksAround(_) if UNDECIDED.get().is_some() => return undecided(TOO_DEAR),
            Self::LooksAround(validators) => match validators.iter().find(|(longest, _)| text.len() <= *longest) {
                Some((_, validator)) => validator.validate(instance),
                None => return undecided(TOO_LONG),
            },
        };
        match judged {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), ValidationErrorKind::Pattern { .. }) => {
                Err(ValidationError::custom(error.masked().to_string()))
            }
            // the engine gave up
            Err(_) => undecided(TOO_DEAR),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.validate(instance).is_ok()
    }
}
