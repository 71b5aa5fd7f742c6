//! The code around the chain.
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::config::{BodyTransformerConfig, InputFormat, Transformation};
use super::decode::decode;
use super::fault::Fault;
use super::plugin::NAME;
use super::template::Template;
use crate::error::keep_as_it_is;
use crate::plugin::bodies::Bodies;
use crate::plugin::{Around, AroundLayer, ConfigError};
use crate::request::{RequestVars, write_value};
use crate::router::{Value as Variable, Variables as _};
use crate::{Body, Error, IntoResponse as _, Next, Request, Response, reject};

/// From this size on a body is worked on by a thread of its own, so that it holds up no other request.
const LARGE: usize = 256 * 1024;

/// Names that are the gateway's, whatever a body has.
const RESERVED: [&str; 6] = ["_ctx", "_body", "_data", "_multipart", "_escape_json", "_escape_xml"];

/// A block of `body-transformer`, compiled.
#[derive(Debug)]
pub struct BodyTransformer {
    request: Option<Half>,
    response: Option<Half>,
    max_request: usize,
    max_response: usize,
    bodies: Bodies,
}

/// One direction.
#[derive(Clone, Debug)]
struct Half {
    format: Option<InputFormat>,
    template: Template,
}

/// [`BodyTransformer`] around a service.
pub type BodyTransformerLayer = AroundLayer<BodyTransformer>;

impl BodyTransformer {
    /// Compiles a block, within the default limits.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: BodyTransformerConfig) -> Result<Self, ConfigError> {
        Self::within(config, Bodies::default())
    }

    pub(super) fn within(config: BodyTransformerConfig, bodies: Bodies) -> Result<Self, ConfigError> {
        let BodyTransformerConfig { request, response, max_req_body_size, max_resp_body_size } = config;
        if request.is_none() && response.is_none() {
            return Err(ConfigError::invalid(NAME, "", "write at least one of `request` and `response`"));
        }
        for (field, most) in [("max_req_body_size", max_req_body_size), ("max_resp_body_size", max_resp_body_size)] {
            if most == 0 {
                return Err(ConfigError::invalid(NAME, field, "is at least 1"));
            }
        }
        Ok(Self {
            request: request.map(|half| Half::compile("request", half)).transpose()?,
            response: response.map(|half| Half::compile("response", half)).transpose()?,
            max_request: max_req_body_size,
            max_response: max_resp_body_size,
            bodies,
        })
    }

    async fn request(&self, half: &Half, request: Request) -> Result<Request, Response> {
        let ctx = half.variables(&request);
        let (mut head, body) = request.into_parts();
        let unread = |error: crate::plugin::bodies::Unread| error.into_response(NAME);
        let bytes = self.bodies.collect(body, self.max_request).await.map_err(unread)?;
        let args = || Bytes::copy_from_slice(head.uri.query().unwrap_or_default().as_bytes());
        let (format, bytes) = match half.format {
            _ if head.method == Method::GET => (InputFormat::Args, args()),
            Some(InputFormat::Args) => (InputFormat::Args, args()),
            Some(format) => (format, bytes),
            None => (guess(&head.headers), bytes),
        };
        let made = self.make(half, format, &head.headers, bytes, ctx, self.max_request).await;
        let made = made.map_err(|fault| {
            let status = match fault {
                Fault::Decode(_) => StatusCode::BAD_REQUEST,
                Fault::Render(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            reject(status, NAME, format_args!("request {fault}"))
        })?;
        head.headers.remove(CONTENT_LENGTH);
        head.headers.remove(CONTENT_ENCODING);
        Ok(Request::from_parts(head, Body::from(made)))
    }

    async fn response(&self, half: &Half, response: Response, mut ctx: Map<String, Value>) -> Response {
        if passes(&response) {
            return response;
        }
        ctx.insert("status".to_owned(), response.status().as_u16().into());
        let (head, body) = response.into_parts();
        let body = match self.bodies.read_ahead(body, self.max_response).await {
            Ok(body) => body,
            Err(_) => {
                let (status, reason) = (StatusCode::BAD_GATEWAY, "body_failed");
                return Error::Upstream { status, reason, retry_after: None }.into_response();
            }
        };
        let bytes = match body.into_bytes() {
            Ok(bytes) if bytes.len() <= self.max_response => bytes,
            Ok(bytes) => {
                log(&"an answer is too long");
                return Response::from_parts(head, Body::from(bytes));
            }
            Err(stream) => {
                log(&"an answer is too long, or has trailers");
                return Response::from_parts(head, stream);
            }
        };
        let format = half.format.unwrap_or_else(|| guess(&head.headers));
        let made = self.make(half, format, &head.headers, bytes.clone(), ctx, self.max_response).await;
        match made {
            Ok(made) => {
                let mut response = Response::from_parts(head, Body::from(made));
                forget_body(response.headers_mut());
                keep_as_it_is(&mut response);
                response
            }
            Err(fault) => {
                log(&fault);
                Response::from_parts(head, Body::from(bytes))
            }
        }
    }

    /// The new body.
    async fn make(
        &self,
        half: &Half,
        format: InputFormat,
        headers: &HeaderMap,
        body: Bytes,
        ctx: Map<String, Value>,
        most: usize,
    ) -> Result<Vec<u8>, Fault> {
        let content_type = headers.get(CONTENT_TYPE).map(|told| told.as_bytes().to_vec()).unwrap_or_default();
        let is_large = body.len() >= LARGE;
        let (bodies, template) = (self.bodies.clone(), half.template.clone());
        let work = move || make(&bodies, &template, format, &content_type, &body, ctx, most);
        if !is_large {
            return work();
        }
        // It ends early only when the runtime does, or by a panic.
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(Fault::Render("it was broken off".to_owned())))
    }
}

fn make(
    bodies: &Bodies,
    template: &Template,
    format: InputFormat,
    content_type: &[u8],
    body: &[u8],
    ctx: Map<String, Value>,
    most: usize,
) -> Result<Vec<u8>, Fault> {
    let decoded = decode(bodies, format, content_type, body)?;
    let data = template.wants_data().then(|| decoded.data.clone());
    let mut names = match decoded.data {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for reserved in RESERVED {
        names.remove(reserved);
    }
    names.insert("_ctx".to_owned(), json!({"var": ctx}));
    names.extend(data.map(|data| ("_data".to_owned(), data)));
    names.extend(decoded.parts.map(|parts| ("_multipart".to_owned(), parts)));
    if template.wants_body() {
        names.insert("_body".to_owned(), String::from_utf8_lossy(body).into());
    }
    template.render(names, most)
}

impl Half {
    fn compile(field: &str, half: Transformation) -> Result<Self, ConfigError> {
        let invalid = |reason: String| ConfigError::invalid(NAME, format!("{field}.template"), reason);
        let text = match half.template_is_base64 {
            false => half.template,
            true => {
                let bytes = STANDARD.decode(half.template).map_err(|_| invalid("invalid base64 content".to_owned()))?;
                String::from_utf8(bytes).map_err(|_| invalid("is no UTF-8".to_owned()))?
            }
        };
        Ok(Self { format: half.input_format, template: Template::compile(&text).map_err(invalid)? })
    }

    /// What the template says of the request, by names of variables.
    fn variables(&self, request: &Request) -> Map<String, Value> {
        let variables = RequestVars::of(request);
        let value = |variable: Variable<'_>| match variable {
            Variable::Number(number) => json!(number),
            Variable::Bool(value) => value.into(),
            other => {
                let mut text = Vec::new();
                write_value(&other, &mut text);
                String::from_utf8_lossy(&text).into()
            }
        };
        let found = |(name, variable): &(String, _)| Some((name.clone(), value(variables.get(variable)?)));
        self.template.variables().iter().filter_map(found).collect()
    }
}

/// Takes out what was said of a body that another one takes the place of.
fn forget_body(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, ETAG, LAST_MODIFIED] {
        headers.remove(name);
    }
}

fn is_encoded(response: &Response) -> bool {
    response.headers().get_all(CONTENT_ENCODING).iter().any(|coding| {
        let coding = coding.as_bytes().trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

/// Whether there is nothing in an answer to work on.
fn passes(response: &Response) -> bool {
    let encoded = is_encoded(response);
    if encoded {
        log(&"an answer is encoded");
    }
    encoded || response.status() == StatusCode::SWITCHING_PROTOCOLS || response.body().is_empty()
}

fn guess(headers: &HeaderMap) -> InputFormat {
    headers.get(CONTENT_TYPE).map_or(InputFormat::Plain, |told| InputFormat::of(told.as_bytes()))
}

fn log(reason: &dyn std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(plugin = NAME, %reason, "an answer is left as it is");
    #[cfg(not(feature = "tracing"))]
    let _ = reason;
}

impl Around for BodyTransformer {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        let ctx = self.response.as_ref().map(|half| half.variables(&request));
        if let Some(half) = &self.request {
            request = match self.request(half, request).await {
                Ok(request) => request,
                Err(response) => return response,
            };
        }
        let (Some(half), Some(ctx)) = (&self.response, ctx) else { return next.run(request).await };
        request.headers_mut().remove(ACCEPT_ENCODING);
        let is_head = request.method() == Method::HEAD;
        let mut response = next.run(request).await;
        if is_head && !is_encoded(&response) {
            forget_body(response.headers_mut());
        }
        self.response(half, response, ctx).await
    }
}
