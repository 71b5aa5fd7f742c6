//! The plugin.
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use jsonschema::Validator;
use serde_json::{Map, Value};

use super::defaults::Defaults;
use super::{RequestValidationConfig, RequestValidationPlugin};
use crate::plugin::bodies::{Bodies, Unread};
use crate::plugin::{AroundLayer, ConfigError, Hop, Plugin as _};
use crate::plugins::{checks, json_schema};
use crate::{Body, BoxFuture, Next, Request, Response, reject_empty, reject_text};

const NAME: &str = RequestValidationPlugin::NAME;

/// One block of `request-validation`, compiled.
#[derive(Debug)]
pub struct RequestValidation {
    headers: Option<Validator>,
    body: Option<BodyRule>,
    most: usize,
    status: StatusCode,
    message: Option<String>,
    bodies: Bodies,
}

#[derive(Debug)]
struct BodyRule {
    validator: Validator,
    defaults: Option<Defaults>,
}

/// [`RequestValidation`] around a service.
pub type RequestValidationLayer = AroundLayer<RequestValidation>;

impl RequestValidation {
    /// Compiles the options, with the default limits of bodies.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: RequestValidationConfig) -> Result<Self, ConfigError> {
        Self::with_bodies(config, Bodies::default())
    }

    /// Compiles the options; bodies are read within these limits.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn with_bodies(config: RequestValidationConfig, bodies: Bodies) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| ConfigError::invalid(NAME, field, reason);
        if config.header_schema.is_none() && config.body_schema.is_none() {
            return Err(wrong("", "write one of `header_schema` and `body_schema`".to_owned()));
        }
        if config.max_req_body_size == 0 {
            return Err(wrong("max_req_body_size", "is at least 1".to_owned()));
        }
        let status = StatusCode::from_u16(config.rejected_code).ok().filter(|code| (200..600).contains(&code.as_u16()));
        let status = status.ok_or_else(|| wrong("rejected_code", "is a status from 200 to 599".to_owned()))?;
        if let Some(message) = &config.rejected_msg {
            checks::length(NAME, "rejected_msg", message, 256)?;
        }
        let compile = |field: &str, schema: Map<String, Value>| {
            json_schema::compile(&schema.into()).map_err(|reason| wrong(field, format!("is no JSON Schema: {reason}")))
        };
        let defaults = config.body_schema.as_ref().and_then(Defaults::of);
        let body = config.body_schema.map(|schema| compile("body_schema", schema)).transpose()?;
        Ok(Self {
            headers: config.header_schema.map(|schema| compile("header_schema", schema)).transpose()?,
            body: body.map(|validator| BodyRule { validator, defaults }),
            most: usize::try_from(config.max_req_body_size).unwrap_or(usize::MAX),
            status,
            message: config.rejected_msg,
            bodies,
        })
    }

    fn judge_fields(&self, headers: &HeaderMap) -> Result<(), String> {
        match &self.headers {
            Some(validator) => json_schema::judge(validator, &as_value(headers)),
            None => Ok(()),
        }
    }

    /// Judges a body, in plain. `Some` is the body that goes on in its place.
    fn judge_body(&self, rule: &BodyRule, is_form: bool, text: &[u8]) -> Result<Option<Vec<u8>>, String> {
        if is_form {
            let form = self.bodies.form(text).map_err(|fault| fault.to_string())?;
            return json_schema::judge(&rule.validator, &form_value(form)).map(|()| None);
        }
        let mut value = self.bodies.json(text).map_err(|fault| format!("the body is no JSON to be taken: {fault}"))?;
        let filled = rule.defaults.as_ref().is_some_and(|defaults| defaults.fill(&mut value));
        json_schema::judge(&rule.validator, &value)?;
        Ok(filled.then(|| value.to_string().into_bytes()))
    }

    async fn with_body(self: Arc<Self>, request: Request, next: Next) -> Response {
        let (mut head, body) = request.into_parts();
        let Some(rule) = &self.body else { return next.run(Request::from_parts(head, body)).await };
        let Some(is_form) = is_form(&head.headers) else {
            return self.reject("`Content-Type` stands there several times");
        };
        let sent = match self.bodies.collect(body, self.most).await {
            Ok(sent) if sent.is_empty() => return self.reject(""),
            Ok(sent) => sent,
            Err(Unread::TooLarge(_)) => return self.reject(""),
            Err(unread) => return unread.into_response(NAME),
        };
        let plain = match self.bodies.unpack(&head.headers, sent.clone()).await {
            Ok(plain) => plain,
            Err(unread) => return unread.into_response(NAME),
        };
        let onward = match self.judge_body(rule, is_form, &plain) {
            Ok(None) => sent,
            Ok(Some(filled)) => {
                head.headers.remove(CONTENT_LENGTH);
                head.headers.remove(CONTENT_ENCODING);
                Bytes::from(filled)
            }
            Err(reason) => return self.reject(&reason),
        };
        drop(plain);
        next.run(Request::from_parts(head, Body::from(onward))).await
    }

    fn reject(&self, reason: &str) -> Response {
        match self.message.as_deref().unwrap_or(reason) {
            "" => reject_empty(self.status, NAME),
            text => reject_text(self.status, NAME, text),
        }
    }
}

impl Hop for RequestValidation {
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture {
        match self.judge_fields(request.headers()) {
            Err(reason) => Box::pin(ready(self.reject(&reason))),
            Ok(()) if self.body.is_none() => next.run(request),
            Ok(()) => Box::pin(Arc::clone(self).with_body(request, next.clone())),
        }
    }
}

/// Whether a body is a form, by its type; `None` where the type stands several times.
fn is_form(headers: &HeaderMap) -> Option<bool> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let media_type = types.next().map_or(&b""[..], |value| value.as_bytes());
    let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    types.next().is_none().then(|| media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded"))
}

/// The fields as a schema sees them.
fn as_value(headers: &HeaderMap) -> Value {
    let text = |value: &http::HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    let field = |name: &http::HeaderName| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().map_or(Value::Null, text);
        let rest: Vec<_> = values.map(text).collect();
        let all = if rest.is_empty() { first } else { std::iter::once(first).chain(rest).collect() };
        (name.as_str().to_owned(), all)
    };
    Value::Object(headers.keys().map(field).collect())
}

/// A form as a schema sees it.
fn form_value(form: Vec<(String, String)>) -> Value {
    let mut fields = Map::new();
    for (name, text) in form {
        match fields.get_mut(&name) {
            None => drop(fields.insert(name, text.into())),
            Some(Value::Array(texts)) => texts.push(text.into()),
            Some(first) => *first = Value::Array(vec![first.take(), text.into()]),
        }
    }
    fields.into()
}
