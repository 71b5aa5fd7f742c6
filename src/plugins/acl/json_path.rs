//! Paths into a JSON document: `groups`, `$.realm.roles[*]`, `$['a.b'][0]`.
use serde_json::Value;

/// A path of names, indices and wildcards.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    /// Each element of an array, each member of an object.
    Every,
}

impl JsonPath {
    /// Reads a path. Filters, slices and `..` are not taken.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = match text.strip_prefix('$') {
            Some(rest) => rest,
            None => {
                let (step, rest) = name(text)?;
                steps.push(step);
                rest
            }
        };
        while !rest.is_empty() {
            let (step, behind) = match rest.strip_prefix('.') {
                Some(behind) => name(behind)?,
                None => bracket(rest.strip_prefix('[')?)?,
            };
            steps.push(step);
            rest = behind;
        }
        Some(Self(steps))
    }

    /// Whether a value at the path is what `wanted` says.
    pub(super) fn any(&self, document: &Value, wanted: &mut dyn FnMut(&Value) -> bool) -> bool {
        walk(&self.0, document, wanted)
    }
}

fn walk(steps: &[Step], at: &Value, wanted: &mut dyn FnMut(&Value) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return wanted(at) };
    match step {
        Step::Name(name) => at.get(name).is_some_and(|value| walk(rest, value, wanted)),
        Step::Index(index) => at.get(index).is_some_and(|value| walk(rest, value, wanted)),
        Step::Every => match at {
            Value::Array(values) => values.iter().any(|value| walk(rest, value, wanted)),
            Value::Object(members) => members.values().any(|value| walk(rest, value, wanted)),
            _ => false,
        },
    }
}

/// A bare name or `*`, and what stands behind it.
fn name(text: &str) -> Option<(Step, &str)> {
    let (name, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
    match name {
        "*" => Some((Step::Every, rest)),
        name if name.is_empty() || name.contains(['*', ']', '\'', '"', '(', '?', '@', '$']) => None,
        name => Some((Step::Name(name.to_owned()), rest)),
    }
}

/// What stands in brackets, of which the first has been taken off.
fn bracket(text: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (name, behind) = quoted.split_once(quote)?;
            return Some((Step::Name(name.to_owned()), behind.strip_prefix(']')?));
        }
    }
    let (inside, rest) = text.split_once(']')?;
    match inside {
        "*" => Some((Step::Every, rest)),
        index => Some((Step::Index(index.parse().ok()?), rest)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_names_indices_and_all() {
        let document = json!({"groups": ["a", "b"], "realm": {"roles": [{"n": "x"}, {"n": "y"}]}, "a.b": "dotted"});
        for (path, found) in [
            ("groups", vec![json!(["a", "b"])]),
            ("$.groups", vec![json!(["a", "b"])]),
            ("groups[1]", vec![json!("b")]),
            ("$.groups[*]", vec![json!("a"), json!("b")]),
            ("$.groups.*", vec![json!("a"), json!("b")]),
            ("$['realm'].roles[*].n", vec![json!("x"), json!("y")]),
            ("$[\"a.b\"]", vec![json!("dotted")]),
            ("$", vec![document.clone()]),
            ("a.b", vec![]),
            ("groups[2]", vec![]),
            ("groups.a", vec![]),
            ("realm[0]", vec![]),
        ] {
            let mut all = Vec::new();
            JsonPath::parse(path).unwrap().any(&document, &mut |value| {
                all.push(value.clone());
                false
            });
            assert_eq!(all, found, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in
            ["", ".", "$.", "$a", "a.", "a..b", "$..a", "a[", "a[b]", "a['b]", "a['b'", "a[1:2]", "a[?(@.b)]", "[-1]"]
        {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
    }
}
