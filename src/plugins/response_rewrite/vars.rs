//! Variables of an answer, and of the request that it answers.
use std::borrow::Cow;

use http::{HeaderMap, HeaderName, StatusCode};

use crate::Exchange;
use crate::router::{Value, VarName, Variables};

/// Values that were asked of the request before it went on.
#[derive(Debug, Default)]
pub(in crate::plugins) struct Kept(Vec<(VarName, Option<Value<'static>>)>);

impl Kept {
    pub(in crate::plugins) fn of(names: &[VarName], variables: &dyn Variables) -> Self {
        Self(names.iter().map(|name| (name.clone(), variables.get(name).map(owned))).collect())
    }
}

fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        Value::Number(number) => Value::Number(number),
        Value::Bool(value) => Value::Bool(value),
        Value::List(values) => Value::List(values.into_iter().map(owned).collect()),
    }
}

/// What an answer, its upstream and its request say.
pub(in crate::plugins) struct AnswerVars<'a> {
    pub(in crate::plugins) status: StatusCode,
    pub(in crate::plugins) headers: &'a HeaderMap,
    /// The fields that variables stand for.
    pub(in crate::plugins) fields: &'a [(VarName, HeaderName)],
    pub(in crate::plugins) exchange: Option<&'a Exchange>,
    pub(in crate::plugins) kept: &'a Kept,
}

/// Whether a variable is one of the answer, which cannot be asked before.
pub(in crate::plugins) fn is_of_answer(name: &VarName) -> bool {
    match name {
        VarName::UpstreamStatus | VarName::UpstreamAddr => true,
        VarName::Custom(text) => **text == *"status" || field_of(name).is_some(),
        _ => false,
    }
}

/// Whether a variable is known only to who records the exchange.
pub(in crate::plugins) fn is_of_exchange(name: &VarName) -> bool {
    matches!(name, VarName::UpstreamStatus | VarName::UpstreamAddr)
}

/// The field of the answer that `sent_http_<name>` or `upstream_http_<name>` stands for.
pub(in crate::plugins) fn field_of(name: &VarName) -> Option<HeaderName> {
    let VarName::Custom(name) = name else { return None };
    let field = name.strip_prefix("sent_http_").or_else(|| name.strip_prefix("upstream_http_"))?;
    field.replace('_', "-").parse().ok()
}

impl AnswerVars<'_> {
    /// All lines of a field, joined with `, `.
    fn lines(&self, field: &HeaderName) -> Option<Value<'_>> {
        let mut lines = self.headers.get_all(field).iter();
        let first = lines.next()?.as_bytes();
        let mut whole = Cow::Borrowed(first);
        for line in lines {
            whole.to_mut().extend_from_slice(b", ");
            whole.to_mut().extend_from_slice(line.as_bytes());
        }
        Some(Value::Text(whole))
    }
}

impl Variables for AnswerVars<'_> {
    fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
        match name {
            VarName::UpstreamStatus => {
                let statuses = self.exchange?.attempts().filter_map(|attempt| attempt.status);
                let statuses: Vec<_> = statuses.map(|status| status.as_str().to_owned()).collect();
                (!statuses.is_empty()).then(|| Value::from(statuses.join(", ")))
            }
            VarName::UpstreamAddr => self.exchange?.upstream().map(Value::from),
            VarName::Custom(name) if **name == *"status" => Some(Value::from(self.status.as_str())),
            name => match self.fields.iter().find(|(variable, _)| variable == name) {
                Some((_, field)) => self.lines(field),
                None => self.kept.0.iter().find(|(kept, _)| kept == name)?.1.clone(),
            },
        }
    }
}
