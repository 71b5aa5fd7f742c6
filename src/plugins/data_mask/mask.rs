//! The rules, compiled.
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::config::{DataMaskConfig, MaskAction, MaskRule, MaskType};
use super::plugin::DataMaskPlugin;
use crate::plugin::{ConfigError, Gate, GateLayer, Plugin as _};
use crate::plugins::edit::{Replacement, Substitution, compile_regex, field_value};
use crate::{Exchange, Mask, Response};

/// Hides parts of requests from logs.
#[derive(Clone, Debug)]
pub struct DataMask(Arc<Rules>);

/// [`DataMask`] before a service.
pub type DataMaskLayer = GateLayer<DataMask>;

#[derive(Debug)]
struct Rules {
    arguments: Vec<(String, Action)>,
    fields: Vec<(HeaderName, Action)>,
}

#[derive(Debug)]
enum Action {
    Remove,
    Replace(Vec<u8>),
    Substitute(Substitution),
}

impl DataMask {
    /// Compiles a block.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: DataMaskConfig) -> Result<Self, ConfigError> {
        let mut rules = Rules { arguments: Vec::new(), fields: Vec::new() };
        for (at, rule) in config.request.into_iter().enumerate() {
            let fault = |field: &str, reason: String| {
                ConfigError::invalid(DataMaskPlugin::NAME, format!("request.{at}.{field}"), reason)
            };
            let action = Action::compile(&rule).map_err(|(field, reason)| fault(field, reason))?;
            if rule.name.is_empty() {
                return Err(fault("name", "is empty; write at least 1 character".to_owned()));
            }
            match rule.kind {
                MaskType::Query => rules.arguments.push((rule.name, action)),
                MaskType::Header => {
                    let name = HeaderName::from_bytes(rule.name.as_bytes());
                    rules.fields.push((name.map_err(|_| fault("name", "is no name of a field".to_owned()))?, action));
                }
                MaskType::Body if rule.body_format.is_none() => {
                    return Err(fault("body_format", "is required for a body: json or urlencoded".to_owned()));
                }
                MaskType::Body => {}
            }
        }
        Ok(Self(Arc::new(rules)))
    }
}

impl Gate for DataMask {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        // Where nobody logs there is nothing to hide.
        if let Some(exchange) = request.extensions().get::<Exchange>() {
            exchange.add_mask(Arc::<Rules>::clone(&self.0));
        }
        Ok(())
    }
}

impl Action {
    /// # Errors
    /// The field that is wrong, and how.
    fn compile(rule: &MaskRule) -> Result<Self, (&'static str, String)> {
        let required = |field: &'static str, text: &Option<String>| {
            text.clone().ok_or_else(|| (field, "is required for this action".to_owned()))
        };
        Ok(match rule.action {
            MaskAction::Remove => Self::Remove,
            MaskAction::Replace => Self::Replace(required("value", &rule.value)?.into_bytes()),
            MaskAction::Regex => {
                let regex = compile_regex(&required("regex", &rule.regex)?, |builder| builder);
                let regex = regex.map_err(|reason| ("regex", reason))?;
                let value = Replacement::parse(&required("value", &rule.value)?).map_err(|reason| ("value", reason))?;
                Self::Substitute(Substitution::new(regex, value))
            }
        })
    }

    /// The value as it is shown; the inner `None` when it is not, the outer one when it stays as it is.
    fn apply(&self, value: &[u8]) -> Option<Option<Vec<u8>>> {
        match self {
            Self::Remove => Some(None),
            Self::Replace(value) => Some(Some(value.clone())),
            Self::Substitute(substitution) => substitution.replace_first(value).map(Some),
        }
    }
}

impl Mask for Rules {
    fn query(&self, query: &str) -> Option<String> {
        if self.arguments.is_empty() {
            return None;
        }
        let masked = query.split('&').filter_map(|argument| {
            // One that a form would read so is meant, however it is written; an empty one is none.
            let Some((name, value)) = form_urlencoded::parse(argument.as_bytes()).next() else {
                return Some(argument.to_owned());
            };
            let (mut shown, mut changed) = (value.into_owned().into_bytes(), false);
            for (_, action) in self.arguments.iter().filter(|(masked, _)| *masked == name) {
                if let Some(masked) = action.apply(&shown) {
                    (shown, changed) = (masked?, true);
                }
            }
            if !changed {
                return Some(argument.to_owned());
            }
            let name = argument.split('=').next().unwrap_or_default();
            let value: String = form_urlencoded::byte_serialize(&shown).collect();
            Some(format!("{name}={value}"))
        });
        Some(masked.collect::<Vec<_>>().join("&"))
    }

    fn field(&self, name: &HeaderName, value: &HeaderValue) -> Option<Option<HeaderValue>> {
        let (mut shown, mut changed) = (value.as_bytes().to_vec(), false);
        for (_, action) in self.fields.iter().filter(|(masked, _)| masked == name) {
            if let Some(masked) = action.apply(&shown) {
                let Some(masked) = masked else { return Some(None) };
                (shown, changed) = (masked, true);
            }
        }
        changed.then(|| Some(field_value(&shown)))
    }
}

#[cfg(test)]
mod unit {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{build_error, configured};

    /// An exchange that these blocks have seen.
    fn masked(blocks: &[Value]) -> Exchange {
        let exchange = Exchange::new();
        for block in blocks {
            let mut request = http::Request::builder().extension(exchange.clone()).body(()).unwrap();
            DataMask::new(configured(block.clone())).unwrap().check(&mut request).unwrap();
        }
        exchange
    }

    #[test]
    fn arguments_are_hidden_and_the_rest_stays_as_it_was_sent() {
        let one = |rule: Value| [json!({"request": [rule]})];
        let remove = || one(json!({"type": "query", "name": "a", "action": "remove"}));
        let replace = || one(json!({"type": "query", "name": "a", "action": "replace", "value": "* &"}));
        let regex = || one(json!({"type": "query", "name": "a", "action": "regex", "regex": "(.)..", "value": "$1**"}));
        for (blocks, target, shown) in [
            (remove(), "/p?a=1&b=%41&a=2&c", "/p?b=%41&c"),
            (remove(), "/p?%61=1", "/p"),
            (remove(), "/p?aa=1&A=1", "/p?aa=1&A=1"),
            (remove(), "/p?&b=1&&a=2&", "/p?&b=1&&"),
            (remove(), "/p", "/p"),
            (replace(), "/p?b&a=1&a", "/p?b&a=*+%26&a=*+%26"),
            (regex(), "/p?a=12345&b=12345", "/p?a=1**45&b=12345"),
            (regex(), "/p?a=1%32", "/p?a=1%32"),
        ] {
            assert_eq!(masked(&blocks).masked_target(target), shown, "{blocks:?} {target}");
        }
        let both = [remove(), one(json!({"type": "query", "name": "b", "action": "replace", "value": "x"}))].concat();
        assert_eq!(masked(&both).masked_target("/p?a=1&b=2&c=3"), "/p?b=x&c=3");
        assert_eq!(masked(&[]).masked_target("/p?a=1"), "/p?a=1");
    }

    #[test]
    fn fields_are_hidden() {
        let rules = json!({"request": [
            {"type": "header", "name": "Referer", "action": "regex", "regex": "\\?.*", "value": ""},
            {"type": "header", "name": "user-agent", "action": "remove"},
            {"type": "header", "name": "host", "action": "replace", "value": "a\nb"},
        ]});
        let exchange = masked(&[rules]);
        let shown = |name: &'static str, value: &'static str| {
            let shown = exchange.masked_field(&HeaderName::from_static(name), HeaderValue::from_static(value));
            shown.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(shown("referer", "http://a/?b=1").as_deref(), Some("http://a/"));
        assert_eq!(shown("user-agent", "curl"), None);
        assert_eq!(shown("host", "gw").as_deref(), Some("a%0Ab"));
        assert_eq!(shown("x-a", "1").as_deref(), Some("1"));
    }

    #[test]
    fn faults_name_their_field() {
        for (rule, field) in [
            (json!({"type": "query", "name": "", "action": "remove"}), "request.0.name"),
            (json!({"type": "header", "name": "a b", "action": "remove"}), "request.0.name"),
            (json!({"type": "query", "name": "a", "action": "replace"}), "request.0.value"),
            (json!({"type": "query", "name": "a", "action": "regex", "value": ""}), "request.0.regex"),
            (json!({"type": "query", "name": "a", "action": "regex", "regex": "("}), "request.0.regex"),
            (json!({"type": "body", "name": "$.a", "action": "remove"}), "request.0.body_format"),
        ] {
            let error = build_error(DataMaskPlugin, &json!({"request": [rule]}));
            assert!(error.contains(field), "{rule}: {error}");
        }
    }
}
