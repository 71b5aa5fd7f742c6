//! The functions that a policy calls. The engine looks for one when a request gets as far as the call, which may be long after
//! the policy was loaded; so all of them are asked for here.
use std::num::{NonZeroU32, NonZeroUsize};

use regex::Regex;
use regorus::{Engine, PolicyLengthConfig, Value};

use super::rego::{AT_LOAD, SOURCE, evaluated};

/// A comment, a text, or a path of names, with `(` where it is called.
const TOKEN: &str = r#"#.*|"(?:[^"\\]|\\(?s:.))*"|`[^`]*`|[A-Za-z0-9_.]+\(?"#;

/// Words that may stand before a `(` without being called; `set()` is a value.
const WORDS: [&str; 12] =
    ["as", "contains", "default", "else", "every", "if", "import", "in", "not", "set", "some", "with"];

/// Judges the calls of a policy that was taken as `package`.
///
/// # Errors
/// The first call of a function that is not there.
pub(super) fn judge(policy: &str, package: &str) -> Result<(), String> {
    let calls = calls(policy)?;
    let mut rule = "asks_for_".to_owned();
    while policy.contains(&rule) {
        rule.push('_');
    }
    // A rule for each function at the end of the policy, where a name means what it means in it. No function is worked out: what
    // it is given is undefined.
    let rules = calls.iter().enumerate().map(|(at, (name, _))| format!("\n{rule}{at} := {name}(input.{rule})"));
    let text = policy.to_owned() + &*rules.collect::<String>();
    let mut engine = Engine::new();
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: NonZeroU32::MAX,
        max_file_bytes: NonZeroUsize::MAX,
        max_lines: NonZeroUsize::MAX,
    });
    engine.set_gather_prints(true);
    engine.set_input(Value::new_object());
    engine.add_policy(SOURCE.to_owned(), text).map_err(|error| error.to_string())?;
    for (at, (name, place)) in calls.into_iter().enumerate() {
        let asked = evaluated(&mut engine, &format!("{package}.{rule}{at}"), AT_LOAD);
        if asked.is_err_and(|error| error.contains("could not find function")) {
            let line = policy.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1;
            return Err(format!("line {line} calls `{name}`, which is no function of the package and no built-in one"));
        }
    }
    Ok(())
}

/// The functions that are called, each with the place where it is first.
fn calls(policy: &str) -> Result<Vec<(&str, usize)>, String> {
    let token = Regex::new(TOKEN).map_err(|error| error.to_string())?;
    let mut calls: Vec<(&str, usize)> = Vec::new();
    for found in token.find_iter(policy) {
        let Some(name) = found.as_str().strip_suffix('(') else { continue };
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if is_name && !WORDS.contains(&name) && calls.iter().all(|(known, _)| *known != name) {
            calls.push((name, found.start()));
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_names_before_a_parenthesis_outside_of_texts_and_comments() {
        let policy = "package a # no(1)\nx := f(\"g(1) \\\" h(2)\") + json.unmarshal(`k(\"`)[0]\n\
                      y if not(a.b.c(x)) # \" z(\nz := data.a[\"b\"].f(1) + _f(set()) + f((1))";
        let calls = calls(policy).unwrap();
        let names: Vec<_> = calls.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["f", "json.unmarshal", "a.b.c", "_f"]);
        assert_eq!(policy[calls[2].1..].split('(').next(), Some("a.b.c"));
    }

    /// A text may end in the midst of one of ours.
    #[test]
    fn a_comment_or_string_runs_to_its_end() {
        for (policy, count) in [("# f(", 0), ("f(", 1), ("`f(`g(", 1), ("\"\\\\\"f(", 1), ("\"\\\"f(\"", 0)] {
            assert_eq!(calls(policy).unwrap().len(), count, "{policy}");
        }
    }
}
