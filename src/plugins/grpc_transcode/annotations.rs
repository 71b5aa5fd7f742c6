//! Which method a request means by the `google.api.http` annotations of a service.
use std::sync::Arc;

use http::{HeaderValue, Method};
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::layer::Call;
use super::template::Template;

/// One way to call a method.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    verb: Method,
    template: Template,
    pub(super) body: BodyOf,
    pub(super) call: Call,
}

/// What the body of a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyOf {
    /// Nothing that counts.
    Nothing,
    /// The whole message, of which the query then is no part.
    Message,
    /// This field of it.
    Field(Arc<str>),
}

/// What was found for a request.
pub(super) enum Found<'a> {
    Call(&'a Binding, Vec<(Arc<str>, String)>),
    /// Methods of HTTP that the path has.
    OtherMethod(HeaderValue),
    Nothing,
}

/// The annotations of some services.
#[derive(Clone, Debug, Default)]
pub(super) struct Annotations(Vec<Binding>);

impl Annotations {
    /// Adds those of a method, which `call` makes a call of; what is no template is told.
    pub(super) fn add(&mut self, method: &MethodDescriptor, call: &Call) -> Result<(), String> {
        let Some(extension) = method.parent_pool().get_extension_by_name("google.api.http") else { return Ok(()) };
        let options = method.options();
        if !options.has_extension(&extension) {
            return Ok(());
        }
        let rule = options.get_extension(&extension);
        let Some(rule) = rule.as_message() else { return Ok(()) };
        self.bind(rule, call)?;
        let more = rule.get_field_by_name("additional_bindings");
        let more = more.as_deref().and_then(Value::as_list).unwrap_or_default();
        more.iter().filter_map(Value::as_message).try_for_each(|rule| self.bind(rule, call))?;
        self.0.sort_by_key(|binding| binding.template.rank());
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bind(&mut self, rule: &DynamicMessage, call: &Call) -> Result<(), String> {
        let verbs = ["get", "put", "post", "delete", "patch"];
        let plain = verbs.iter().find(|verb| rule.has_field_by_name(verb));
        let (verb, path) = match plain {
            Some(verb) => (verb.to_ascii_uppercase(), text(rule, verb)),
            None => match rule.get_field_by_name("custom").as_deref().and_then(Value::as_message) {
                Some(custom) if rule.has_field_by_name("custom") => (text(custom, "kind"), text(custom, "path")),
                _ => return Ok(()),
            },
        };
        let template = Template::parse(&path).ok_or_else(|| format!("`{path}` is no path template"))?;
        let verb = Method::from_bytes(verb.as_bytes()).map_err(|_| format!("`{verb}` is no method"))?;
        let body = match text(rule, "body") {
            body if body.is_empty() => BodyOf::Nothing,
            body if body == "*" => BodyOf::Message,
            body => BodyOf::Field(body.into()),
        };
        let field = text(rule, "response_body");
        let mut call = call.clone();
        if !field.is_empty() {
            let found = call.output.get_field_by_name(&field);
            call.told = Some(found.ok_or_else(|| format!("`{field}` is no field of the response"))?);
        }
        self.0.push(Binding { verb, template, body, call });
        Ok(())
    }

    pub(super) fn find(&self, verb: &Method, path: &str) -> Found<'_> {
        let mut others: Vec<&str> = Vec::new();
        for binding in &self.0 {
            let Some(variables) = binding.template.find(path) else { continue };
            if binding.verb == *verb {
                return Found::Call(binding, variables);
            }
            others.push(binding.verb.as_str());
        }
        match HeaderValue::try_from(others.join(", ")) {
            Ok(allow) if !others.is_empty() => Found::OtherMethod(allow),
            _ => Found::Nothing,
        }
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}
