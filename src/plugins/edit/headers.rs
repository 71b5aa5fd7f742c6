//! Edits of a message's fields: add, then set, then remove.
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::{FieldTemplate, FieldValues};
use crate::hop::is_hop;
use crate::plugin::ConfigError;
use crate::router::{VarName, Variables};

/// Compiled edits of a message's fields.
#[derive(Clone, Debug, Default)]
pub struct HeaderEdits {
    add: Vec<(HeaderName, Vec<FieldTemplate>)>,
    set: Vec<(HeaderName, Vec<FieldTemplate>)>,
    remove: Vec<HeaderName>,
}

/// Edits with their variables filled in, for one message.
///
/// All values are made before the first edit is applied: they show the message as it came to the plugin.
#[derive(Debug)]
pub struct RenderedEdits<'a> {
    edits: &'a HeaderEdits,
    /// Of `add`, then of `set`.
    values: SmallVec<[HeaderValue; 6]>,
}

impl HeaderEdits {
    /// Whether nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.set.is_empty() && self.remove.is_empty()
    }

    /// The variables of the values.
    pub fn variables(&self) -> impl Iterator<Item = &VarName> {
        self.values().filter_map(FieldTemplate::template).flat_map(|template| template.variables())
    }

    /// The fields that are edited.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.add.iter().chain(&self.set).map(|(name, _)| name).chain(&self.remove)
    }

    /// Whether a field cannot become several lines by these edits.
    pub(crate) fn writes_once(&self, field: &HeaderName) -> bool {
        let repeats = |(name, values): &(HeaderName, Vec<FieldTemplate>)| name == field && values.len() > 1;
        !self.add.iter().any(|(name, _)| name == field) && !self.set.iter().any(repeats)
    }

    /// Fills the variables in.
    pub fn render(&self, variables: &dyn Variables) -> RenderedEdits<'_> {
        RenderedEdits { edits: self, values: self.values().map(|value| value.render(variables)).collect() }
    }

    fn values(&self) -> impl Iterator<Item = &FieldTemplate> {
        self.add.iter().chain(&self.set).flat_map(|(_, values)| values)
    }
}

impl RenderedEdits<'_> {
    /// Edits the fields: adds, then sets, then removes. An empty value adds nothing; a field that is set to nothing but
    /// empty values is removed.
    pub fn apply(self, headers: &mut HeaderMap) {
        let mut values = self.values.into_iter();
        for (name, templates) in &self.edits.add {
            for value in values.by_ref().take(templates.len()).filter(|value| !value.is_empty()) {
                headers.append(name, value);
            }
        }
        for (name, templates) in &self.edits.set {
            let mut lines = values.by_ref().take(templates.len()).filter(|value| !value.is_empty());
            match lines.next() {
                Some(first) => {
                    headers.insert(name, first);
                    lines.for_each(|value| {
                        headers.append(name, value);
                    });
                }
                None => {
                    headers.remove(name);
                }
            }
        }
        for name in &self.edits.remove {
            headers.remove(name);
        }
    }
}

/// Compiles edits; `field` is their path in the block of `plugin`.
pub(super) fn compile(
    plugin: &'static str,
    field: &str,
    add: &[(String, FieldValues)],
    set: &[(String, FieldValues)],
    remove: &[String],
) -> Result<HeaderEdits, ConfigError> {
    let edits = |key: &str, fields: &[(String, FieldValues)]| {
        let compile = |(name, values): &(String, FieldValues)| {
            let at = format!("{field}.{key}.{name}");
            let values = values.0.iter().map(|value| FieldTemplate::parse(value)).collect::<Result<_, _>>();
            let values = values.map_err(|reason| ConfigError::invalid(plugin, &at, reason))?;
            Ok((written_name(plugin, &at, name)?, values))
        };
        fields.iter().map(compile).collect::<Result<Vec<_>, ConfigError>>()
    };
    let removed = |name: &String| field_name(plugin, &format!("{field}.remove"), name);
    Ok(HeaderEdits {
        add: edits("add", add)?,
        set: edits("set", set)?,
        remove: remove.iter().map(removed).collect::<Result<_, _>>()?,
    })
}

/// Compiles fields of an answer that a plugin makes; `field` is their path in the block of `plugin`.
pub(crate) fn compile_fields(
    plugin: &'static str,
    field: &str,
    fields: &BTreeMap<String, FieldValues>,
) -> Result<Vec<(HeaderName, FieldTemplate)>, ConfigError> {
    let mut compiled = Vec::new();
    for (name, values) in fields {
        let at = format!("{field}.{name}");
        let name = written_name(plugin, &at, name)?;
        for value in &values.0 {
            let value = FieldTemplate::parse(value).map_err(|reason| ConfigError::invalid(plugin, &at, reason))?;
            compiled.push((name.clone(), value));
        }
    }
    Ok(compiled)
}

/// Adds such fields to an answer; empty ones are left out.
pub(crate) fn append_fields(
    fields: &[(HeaderName, FieldTemplate)],
    variables: &dyn Variables,
    headers: &mut HeaderMap,
) {
    for (name, value) in fields {
        let value = value.render(variables);
        if !value.is_empty() {
            headers.append(name, value);
        }
    }
}

fn field_name(plugin: &'static str, field: &str, name: &str) -> Result<HeaderName, ConfigError> {
    let fault = |_| ConfigError::invalid(plugin, field, format!("{name:?} is no field name"));
    HeaderName::from_bytes(name.as_bytes()).map_err(fault)
}

/// A name that may be written: framing and the fields of one hop are the codec's alone (security.md H1-24).
fn written_name(plugin: &'static str, field: &str, name: &str) -> Result<HeaderName, ConfigError> {
    let name = field_name(plugin, field, name)?;
    if name == http::header::CONTENT_LENGTH || is_hop(name.as_str().as_bytes()) {
        let reason = format!("`{name}` belongs to the connection, and only the gateway writes it; remove it here");
        return Err(ConfigError::invalid(plugin, field, reason));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::RequestHeaders;
    use super::*;
    use crate::router::Value;

    struct Vars;

    impl Variables for Vars {
        fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
            match name {
                VarName::Arg(name) if **name == *"evil" => Some(Value::from("1\r\nx-evil: 1")),
                VarName::Host => Some(Value::from("h.test")),
                _ => None,
            }
        }
    }

    fn compile(config: serde_json::Value) -> Result<HeaderEdits, ConfigError> {
        serde_json::from_value::<RequestHeaders>(config).unwrap().compile("test", "headers")
    }

    /// The lines of the fields that begin with `x-` after the edits of `config` on `x-a: 1`, `x-a: 2`, `x-b: 3`.
    fn edited(config: serde_json::Value) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-a", "1"), ("x-a", "2"), ("x-b", "3")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        compile(config).unwrap().render(&Vars).apply(&mut headers);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        lines.sort();
        lines.join(" ")
    }

    #[test]
    fn add_then_set_then_remove() {
        for (config, wanted) in [
            (json!({"add": {"x-a": "3"}}), "x-a=1 x-a=2 x-a=3 x-b=3"),
            (json!({"add": {"x-c": ["1", "", "2"]}}), "x-a=1 x-a=2 x-b=3 x-c=1 x-c=2"),
            (json!({"add": {"x-b": "$arg_none"}}), "x-a=1 x-a=2 x-b=3"),
            (json!({"set": {"x-a": ["8", "9"]}}), "x-a=8 x-a=9 x-b=3"),
            (json!({"set": {"x-a": ""}}), "x-b=3"),
            (json!({"set": {"x-a": "$arg_none"}}), "x-b=3"),
            (json!({"X-A": "", "x-b": "$host"}), "x-b=h.test"),
            (json!({"set": {"x-a": "${arg_none ?? d}"}}), "x-a=d x-b=3"),
            (json!({"remove": ["x-a", "x-none"]}), "x-b=3"),
            (json!({"add": {"x-c": "1"}, "set": {"x-c": "2"}}), "x-a=1 x-a=2 x-b=3 x-c=2"),
            (json!({"set": {"x-a": "9"}, "remove": ["x-a"]}), "x-b=3"),
            (json!({"set": {"x-a": "$arg_evil"}}), "x-a=1%0D%0Ax-evil: 1 x-b=3"),
        ] {
            assert_eq!(edited(config.clone()), wanted, "{config}");
        }
    }

    #[test]
    fn what_frames_a_message_cannot_be_written() {
        for name in ["Content-Length", "transfer-encoding", "connection", "te", "upgrade", "no name", ""] {
            let error = compile(json!({"set": {name: "1"}})).unwrap_err();
            assert_eq!(error.field(), format!("headers.set.{name}"));
        }
        compile(json!({"remove": ["content-length", "connection"]})).unwrap();
        assert_eq!(compile(json!({"add": {"x": "a\nb"}})).unwrap_err().field(), "headers.add.x");
    }

    proptest! {
        #[test]
        fn sec_hop_09_no_value_of_a_request_makes_a_line(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            struct One(Vec<u8>);
            impl Variables for One {
                fn get<'a>(&'a self, _: &VarName) -> Option<Value<'a>> {
                    Some(Value::from(&*self.0))
                }
            }
            let mut headers = HeaderMap::new();
            let edits = compile(json!({"add": {"x-a": "<$arg_v>"}, "set": {"x-b": "$arg_v"}})).unwrap();
            edits.render(&One(value)).apply(&mut headers);
            prop_assert!(headers.len() <= 2);
            for value in headers.values() {
                prop_assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            }
        }
    }
}
