//! The plugin.
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Map, Value};

use super::defaults::{Defaults, TooMuch};
use super::once::{Once, several};
use super::{RequestValidationConfig, RequestValidationPlugin};
use crate::plugin::bodies::{Bodies, Unread, is_utf8};
use crate::plugin::{AroundLayer, Bench, ConfigError, Hop, Plugin as _};
use crate::plugins::checks;
use crate::plugins::json_schema::{Schema, shortened};
use crate::{Body, BoxFuture, Next, Request, Response, reject_empty, reject_text};

const NAME: &str = RequestValidationPlugin::NAME;

/// From so many bytes on a body is judged beside the threads that serve requests.
const LARGE: usize = 64 * 1024;

/// Fields that tell of the very bytes of a body, which go where a default was filled in.
const OF_THE_BYTES: [HeaderName; 6] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// One block of `request-validation`, compiled.
#[derive(Debug)]
pub struct RequestValidation {
    headers: Option<Rule>,
    body: Option<Rule>,
    most: usize,
    status: StatusCode,
    message: Option<String>,
    bodies: Bodies,
    bench: Bench,
}

/// A schema, and what else follows of it.
#[derive(Debug)]
struct Rule {
    schema: Schema,
    once: Once,
    /// For bodies.
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
            let (once, defaults) = (Once::of(&schema), Defaults::of(&schema));
            match Schema::compile(&schema.into()) {
                Ok(schema) => Ok(Rule { schema, once, defaults }),
                Err(reason) => Err(wrong(field, format!("is no JSON Schema: {reason}"))),
            }
        };
        Ok(Self {
            headers: config.header_schema.map(|schema| compile("header_schema", schema)).transpose()?,
            body: config.body_schema.map(|schema| compile("body_schema", schema)).transpose()?,
            most: usize::try_from(config.max_req_body_size).unwrap_or(usize::MAX),
            status,
            message: config.rejected_msg,
            bodies,
            bench: Bench::default(),
        })
    }

    /// The same, where large bodies are judged at a bench that is shared.
    pub(super) fn at(self, bench: &Bench) -> Self {
        Self { bench: bench.clone(), ..self }
    }

    fn judge_fields(&self, headers: &HeaderMap) -> Result<(), String> {
        match &self.headers {
            Some(rule) => rule.schema.judge(&as_value(headers, &rule.once)?),
            None => Ok(()),
        }
    }

    /// Judges a body, in plain. `Some` is the body that goes on in its place.
    fn judge_body(&self, is_form: bool, text: &[u8]) -> Result<Option<String>, String> {
        let Some(rule) = &self.body else { return Ok(None) };
        if is_form {
            // many a reader takes what looks like JSON for it, whatever its type
            if matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
                return Err("the body is no form but JSON".to_owned());
            }
            let form = self.bodies.form(text).map_err(|fault| fault.to_string())?;
            return rule.schema.judge(&form_value(form, &rule.once)?).map(|()| None);
        }
        let mut value = self.bodies.json(text).map_err(|fault| format!("the body is no JSON to be taken: {fault}"))?;
        let mut left = self.most.saturating_sub(text.len());
        let too_much = |TooMuch| format!("the body is longer than {} bytes with what is filled in", self.most);
        let filling = match &rule.defaults {
            Some(defaults) => defaults.fill(&mut value, &mut left).map_err(too_much)?.then_some(defaults),
            None => None,
        };
        rule.schema.judge(&value)?;
        // its own text but for what was missing: numbers are more than a value here can hold
        Ok(filling.and_then(|defaults| defaults.filled(std::str::from_utf8(text).ok()?)))
    }

    /// As [`Self::judge_body`], large ones at the bench, so that they hold up no other request.
    async fn judge_plain(self: &Arc<Self>, is_form: bool, plain: Bytes) -> Result<Option<String>, String> {
        if plain.len() < LARGE {
            return self.judge_body(is_form, &plain);
        }
        let me = Arc::clone(self);
        let judging = self.bench.run(move || me.judge_body(is_form, &plain));
        judging.await.unwrap_or_else(|| Err("judging it failed".to_owned()))
    }

    async fn with_body(self: Arc<Self>, request: Request, next: Next) -> Response {
        let (mut head, body) = request.into_parts();
        let Some(is_form) = is_form(&head.headers) else {
            return self.reject("`Content-Type` stands there several times");
        };
        if head.headers.get(CONTENT_TYPE).is_some_and(|told| !is_utf8(told.as_bytes())) {
            return self.reject("`charset` of `Content-Type` is another than utf-8");
        }
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
        let onward = match self.judge_plain(is_form, plain).await {
            Ok(None) => Body::from(sent),
            Ok(Some(filled)) => {
                drop(sent);
                OF_THE_BYTES.iter().for_each(|name| drop(head.headers.remove(name)));
                match self.bodies.collect(Body::from(filled), usize::MAX).await {
                    Ok(filled) => Body::from(filled),
                    Err(unread) => return unread.into_response(NAME),
                }
            }
            Err(reason) => return self.reject(&shortened(&reason)),
        };
        next.run(Request::from_parts(head, onward)).await
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
fn as_value(headers: &HeaderMap, once: &Once) -> Result<Value, String> {
    let text = |value: &http::HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    let field = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().map_or(Value::Null, text);
        let rest: Vec<_> = values.map(text).collect();
        let all = match rest.is_empty() {
            true => first,
            false if once.holds(name.as_str()) => return Err(several(name.as_str())),
            false => std::iter::once(first).chain(rest).collect(),
        };
        Ok((name.as_str().to_owned(), all))
    };
    headers.keys().map(field).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

/// A form as a schema sees it.
fn form_value(form: Vec<(String, String)>, once: &Once) -> Result<Value, String> {
    let mut fields = Map::new();
    for (name, text) in form {
        match fields.get_mut(&name) {
            None => drop(fields.insert(name, text.into())),
            Some(_) if once.holds(&name) => return Err(several(&name)),
            Some(Value::Array(texts)) => texts.push(text.into()),
            Some(first) => *first = Value::Array(vec![first.take(), text.into()]),
        }
    }
    Ok(fields.into())
}
