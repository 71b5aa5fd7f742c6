//! The question and what follows from its answer.
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::{AuthMethod, ForwardAuthConfig, ForwardAuthPlugin};
use crate::body::Body;
use crate::error::{answer_of, reject_empty};
use crate::hop::is_hop;
use crate::plugin::bodies::Bodies;
use crate::plugin::{Around, AroundLayer, ConfigError, Plugin as _};
use crate::plugins::callout::{Calling, Callout, CalloutError, Callouts, http_uri};
use crate::plugins::checks::within;
use crate::request::{CallerFields, RequestVars, Template, client_addr};
use crate::router::{Value, VarName, Variables as _};
use crate::{Next, Request, Response};

/// Applies [`ForwardAuth`].
pub type ForwardAuthLayer = AroundLayer<ForwardAuth>;

/// One block of `forward-auth`, compiled.
#[derive(Debug)]
pub struct ForwardAuth {
    callout: Callout,
    uri: Uri,
    method: Method,
    request_headers: Vec<HeaderName>,
    extra_headers: Vec<(HeaderName, Template)>,
    upstream_headers: Arc<[HeaderName]>,
    client_headers: Vec<HeaderName>,
    /// The status while the service cannot be reached; `None` lets requests pass.
    on_error: Option<StatusCode>,
    max_body: usize,
    bodies: Bodies,
}

const NAME: &str = ForwardAuthPlugin::NAME;

impl ForwardAuth {
    /// Compiles a block, with connections of its own.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub fn new(config: ForwardAuthConfig) -> Result<Self, ConfigError> {
        Self::with_callouts(config, &Callouts::default())
    }

    pub(super) fn with_callouts(config: ForwardAuthConfig, callouts: &Callouts) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| ConfigError::invalid(NAME, field, reason);
        if config.uri.is_empty() {
            return Err(wrong("uri", "property \"uri\" is required: write the address of the service".to_owned()));
        }
        let uri = http_uri(&config.uri).map_err(|error| wrong("uri", error.to_string()))?;
        let calling = Calling {
            timeout: config.timeout,
            keepalive: config.keepalive,
            keepalive_timeout: config.keepalive_timeout,
            keepalive_pool: config.keepalive_pool,
            ssl_verify: config.ssl_verify,
        };
        let callout = calling.client(NAME, 1..=60_000, callouts)?;
        within(NAME, "status_on_error", config.status_on_error.into(), 200..=599)?;
        within(NAME, "max_req_body_size", config.max_req_body_size, 1..=usize::MAX as u64)?;
        let status = StatusCode::from_u16(config.status_on_error)
            .map_err(|_| wrong("status_on_error", "is no status: write 200 to 599".to_owned()))?;
        let mut extra_headers = Vec::with_capacity(config.extra_headers.len());
        for (name, value) in &config.extra_headers {
            let field = format!("extra_headers.{name}");
            let template = Template::parse(value).map_err(|error| wrong(&field, error.to_string()))?;
            extra_headers.push((field_name(&field, name)?, template));
        }
        let upstream_headers = field_names("upstream_headers", &config.upstream_headers)?;
        if let Some(at) = upstream_headers.iter().position(|name| name == HOST) {
            let reason = "`host` chooses who answers and cannot be set by the service; leave it out";
            return Err(wrong(&format!("upstream_headers.{at}"), reason.to_owned()));
        }
        Ok(Self {
            callout,
            uri,
            method: match config.request_method {
                AuthMethod::Get => Method::GET,
                AuthMethod::Post => Method::POST,
            },
            request_headers: field_names("request_headers", &config.request_headers)?,
            extra_headers,
            upstream_headers: upstream_headers.into(),
            client_headers: field_names("client_headers", &config.client_headers)?,
            on_error: (!config.allow_degradation).then_some(status),
            max_body: usize::try_from(config.max_req_body_size).unwrap_or(usize::MAX),
            bodies: Bodies::default(),
        })
    }

    /// The same, reading bodies within these limits.
    #[must_use]
    pub fn within(self, bodies: Bodies) -> Self {
        Self { bodies, ..self }
    }

    /// Takes the body out of a request whose body goes along, and leaves a copy in it.
    async fn body(&self, request: Request) -> Result<(Request, Bytes), Response> {
        if self.method == Method::GET {
            return Ok((request, Bytes::new()));
        }
        let (head, body) = request.into_parts();
        let collected = self.bodies.collect(body, self.max_body).await;
        let bytes = collected.map_err(|unread| unread.into_response(NAME))?;
        Ok((Request::from_parts(head, Body::from(bytes.clone())), bytes))
    }

    /// The question about a request.
    fn question<B>(&self, request: &http::Request<B>, body: Bytes) -> Result<http::Request<Bytes>, BadField> {
        let mut question = http::Request::new(body);
        *question.method_mut() = self.method.clone();
        *question.uri_mut() = self.uri.clone();
        let variables = RequestVars::of(request);
        let headers = question.headers_mut();
        for (name, variable) in [
            ("x-forwarded-proto", VarName::Scheme),
            ("x-forwarded-host", VarName::Host),
            ("x-forwarded-uri", VarName::RequestUri),
        ] {
            if let Some(Value::Text(text)) = variables.get(&variable) {
                headers.insert(HeaderName::from_static(name), printable(&text)?);
            }
        }
        headers.insert("x-forwarded-method", printable(request.method().as_str().as_bytes())?);
        if let Some(address) = client_addr(request) {
            headers.insert("x-forwarded-for", printable(address_text(address).as_bytes())?);
        }
        for (name, template) in &self.extra_headers {
            let value = template.render(&variables);
            headers.insert(name, HeaderValue::from_bytes(value.to_str().as_bytes()).map_err(|_| BadField)?);
        }
        let encoding = (self.method == Method::POST).then_some(&CONTENT_ENCODING);
        for name in self.request_headers.iter().chain(encoding) {
            if !headers.contains_key(name) {
                for value in request.headers().get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        Ok(question)
    }

    /// What follows from an answer: the request's fields are made ready to go on, or the client is answered.
    fn judge(
        &self,
        answer: Result<http::Response<Bytes>, CalloutError>,
        headers: &mut HeaderMap,
    ) -> Result<(), Response> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                unreachable(&error);
                for name in &*self.upstream_headers {
                    headers.remove(name);
                }
                return match error {
                    CalloutError::Malformed(_) | CalloutError::TooLong(_) => {
                        Err(reject_empty(StatusCode::BAD_GATEWAY, NAME))
                    }
                    _ => self.on_error.map_or(Ok(()), |status| Err(reject_empty(status, NAME))),
                };
            }
        };
        if answer.status().as_u16() < 300 {
            copy(&self.upstream_headers, answer.headers(), headers);
            return Ok(());
        }
        let (head, body) = answer.into_parts();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = head.status;
        copy(&self.client_headers, &head.headers, response.headers_mut());
        Err(answer_of(NAME, response))
    }
}

impl Around for ForwardAuth {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let (mut request, body) = match self.body(request).await {
            Ok(parts) => parts,
            Err(response) => return response,
        };
        let Ok(question) = self.question(&request, body) else {
            return reject_empty(StatusCode::INTERNAL_SERVER_ERROR, NAME);
        };
        let answer = self.callout.send(question).await;
        match self.judge(answer, request.headers_mut()) {
            Ok(()) => {
                if self.upstream_headers.iter().any(|name| request.headers().contains_key(name)) {
                    CallerFields::add(request.extensions_mut(), &self.upstream_headers);
                }
                next.run(request).await
            }
            Err(response) => response,
        }
    }
}

/// A template's text that no field can carry (security.md HOP-09).
#[derive(Debug)]
struct BadField;

/// A field value of any bytes: those that a field cannot carry percent-encoded.
fn printable(text: &[u8]) -> Result<HeaderValue, BadField> {
    HeaderValue::from_bytes(text).or_else(|_| {
        let control = |byte: &u8| *byte < b' ' || *byte == 0x7f;
        let mut encoded = Vec::with_capacity(text.len() + 2);
        for byte in text {
            match control(byte) {
                true => encoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                false => encoded.push(*byte),
            }
        }
        HeaderValue::from_bytes(&encoded).map_err(|_| BadField)
    })
}

fn address_text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// Sets each field to the values that `from` has of it, or removes it.
fn copy(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for name in names {
        to.remove(name);
        for value in from.get_all(name) {
            to.append(name, value.clone());
        }
    }
}

fn field_names(field: &str, names: &[String]) -> Result<Vec<HeaderName>, ConfigError> {
    names.iter().enumerate().map(|(at, name)| field_name(&format!("{field}.{at}"), name)).collect()
}

/// A field that may go from one message into another (security.md HOP-01, HOP-06, HOP-07).
fn field_name(field: &str, name: &str) -> Result<HeaderName, ConfigError> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        ConfigError::invalid(NAME, field, format!("`{name}` is no field name: write one such as `Authorization`"))
    })?;
    if is_hop(parsed.as_str().as_bytes()) || parsed == CONTENT_LENGTH || parsed == EXPECT {
        let reason = format!("`{parsed}` belongs to one message and is not copied into another; leave it out");
        return Err(ConfigError::invalid(NAME, field, reason));
    }
    Ok(parsed)
}

fn unreachable(error: &CalloutError) {
    #[cfg(feature = "tracing")]
    tracing::warn!(plugin = NAME, error = error as &dyn std::error::Error, "the authorization service gave no answer");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}
