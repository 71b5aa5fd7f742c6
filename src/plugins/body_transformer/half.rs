//! One direction of a block, compiled.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use serde_json::{Map, Value, json};

use super::config::{InputFormat, Transformation};
use super::plugin::NAME;
use super::template::Template;
use crate::plugin::ConfigError;
use crate::plugins::response_rewrite::vars::{AnswerVars, Kept, field_of, is_of_answer, is_of_exchange};
use crate::request::{RequestVars, write_value};
use crate::router::{Value as Variable, VarName, Variables};
use crate::{Exchange, Request, Response};

/// Variables with their values, as templates have them.
pub(super) type Context = Map<String, Value>;

#[derive(Clone, Debug)]
pub(super) struct Half {
    pub(super) format: Option<InputFormat>,
    pub(super) template: Template,
    /// Fields of the answer that variables stand for.
    fields: Vec<(VarName, HeaderName)>,
}

impl Half {
    pub(super) fn compile(field: &str, half: Transformation) -> Result<Self, ConfigError> {
        let invalid = |reason: String| ConfigError::invalid(NAME, format!("{field}.template"), reason);
        let text = match half.template_is_base64 {
            false => half.template,
            true => {
                let bytes = STANDARD.decode(half.template).map_err(|_| invalid("invalid base64 content".to_owned()))?;
                String::from_utf8(bytes).map_err(|_| invalid("is no UTF-8".to_owned()))?
            }
        };
        let template = Template::compile(&text).map_err(invalid)?;
        let names = template.variables().iter().map(|(_, name)| name);
        let fields = names.filter_map(|name| Some((name.clone(), field_of(name)?))).collect();
        Ok(Self { format: half.input_format, template, fields })
    }

    /// Whether the template asks for what upstreams did.
    pub(super) fn wants_exchange(&self) -> bool {
        self.template.variables().iter().any(|(_, name)| is_of_exchange(name))
    }

    /// What the template says of the request.
    pub(super) fn of_request(&self, request: &Request) -> Context {
        self.values(&RequestVars::of(request), |_| true)
    }

    /// What the template says of the answer.
    pub(super) fn of_answer(&self, response: &Response, exchange: Option<&Exchange>) -> Context {
        let (status, headers) = (response.status(), response.headers());
        let kept = Kept::default();
        let vars = AnswerVars { status, headers, fields: &self.fields, exchange, kept: &kept };
        let mut context = self.values(&vars, is_of_answer);
        context.insert("status".to_owned(), status.as_u16().into());
        context
    }

    fn values(&self, variables: &dyn Variables, wanted: impl Fn(&VarName) -> bool) -> Context {
        let value = |variable: Variable<'_>| match variable {
            Variable::Number(number) => json!(number),
            Variable::Bool(value) => value.into(),
            other => {
                let mut text = Vec::new();
                write_value(&other, &mut text);
                String::from_utf8_lossy(&text).into()
            }
        };
        let asked = self.template.variables().iter().filter(|(_, variable)| wanted(variable));
        asked.filter_map(|(name, variable)| Some((name.clone(), value(variables.get(variable)?)))).collect()
    }
}
