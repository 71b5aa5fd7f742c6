//! The code around the chain.
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE};
use http::{HeaderMap, Method, StatusCode};

use super::config::{BodyTransformerConfig, InputFormat, OnError};
use super::fault::Fault;
use super::half::{Context, Half};
use super::plugin::NAME;
use super::work::Work;
use crate::error::keep_as_it_is;
use crate::plugin::bodies::{Ahead, Bodies, Unread};
use crate::plugin::{Around, AroundLayer, ConfigError};
use crate::plugins::representation;
use crate::{Body, Error, Exchange, IntoResponse as _, Next, Request, Response, reject};

/// A block of `body-transformer`, compiled.
#[derive(Debug)]
pub struct BodyTransformer {
    request: Option<Half>,
    response: Option<Half>,
    on_error: OnError,
    max_request: usize,
    max_response: usize,
    bodies: Bodies,
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
        let BodyTransformerConfig { request, response, on_error, max_req_body_size, max_resp_body_size } = config;
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
            on_error,
            max_request: max_req_body_size,
            max_response: max_resp_body_size,
            bodies,
        })
    }

    async fn request(&self, half: &Half, request: Request) -> Result<Request, Response> {
        let context = half.of_request(&request);
        let (mut head, body) = request.into_parts();
        let unread = |error: Unread| error.into_response(NAME);
        let body = self.bodies.collect(body, self.max_request).await.map_err(unread)?;
        let body = self.bodies.unpack(&head.headers, body).await.map_err(unread)?;
        if body.len() > self.max_request {
            return Err(unread(Unread::TooLarge(self.max_request as u64)));
        }
        let format = match half.format {
            _ if head.method == Method::GET => InputFormat::Args,
            Some(format) => format,
            None => guess(&head.headers),
        };
        let source = match format {
            InputFormat::Args => Bytes::copy_from_slice(head.uri.query().unwrap_or_default().as_bytes()),
            _ => body.clone(),
        };
        let work = self.work(half, format, &head.headers, [source, body], context, self.max_request);
        let made = work.done().await.map_err(|fault| {
            let status = match fault {
                Fault::Decode(_) => StatusCode::BAD_REQUEST,
                Fault::Render(_) | Fault::Steps(_) => StatusCode::SERVICE_UNAVAILABLE,
                Fault::NoRoom => return unread(Unread::NoRoom),
            };
            reject(status, NAME, format_args!("request {fault}"))
        })?;
        representation::forget(&mut head.headers);
        Ok(Request::from_parts(head, Body::from(made)))
    }

    async fn response(&self, half: &Half, response: Response, mut context: Context, asked: Asked) -> Response {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        if let Some(reason) = unfit(response.headers()) {
            return self.failed(reason, response);
        }
        if response.body().is_empty() {
            return bare(response, asked.by_head);
        }
        context.extend(half.of_answer(&response, asked.exchange.as_ref()));
        let (head, body) = response.into_parts();
        let body = match self.bodies.ahead(body, self.max_response).await {
            Ok(Ahead::Whole(bytes)) if bytes.len() <= self.max_response => bytes,
            Ok(Ahead::Whole(bytes)) => {
                return self.failed("an answer is too long", Response::from_parts(head, bytes.into()));
            }
            Ok(Ahead::TooLong(body)) => {
                return self.failed("an answer is too long", Response::from_parts(head, body));
            }
            Ok(Ahead::Trailers(body)) => {
                return self.failed("an answer has trailers", Response::from_parts(head, body));
            }
            Ok(Ahead::NoRoom(_)) => return Unread::NoRoom.into_response(NAME),
            Err(_) => {
                let (status, reason) = (StatusCode::BAD_GATEWAY, "body_failed");
                return Error::Upstream { status, reason, retry_after: None }.into_response();
            }
        };
        let format = half.format.unwrap_or_else(|| guess(&head.headers));
        let source = match format {
            InputFormat::Args => asked.query,
            _ => body.clone(),
        };
        let work = self.work(half, format, &head.headers, [source, body.clone()], context, self.max_response);
        match work.done().await {
            Ok(made) => {
                let mut response = Response::from_parts(head, Body::from(made));
                representation::forget(response.headers_mut());
                keep_as_it_is(&mut response);
                response
            }
            // It passes for nothing that the body is at fault for, which others could bring about.
            Err(Fault::NoRoom) => Unread::NoRoom.into_response(NAME),
            Err(fault) => self.failed(fault, Response::from_parts(head, Body::from(body))),
        }
    }

    fn work(
        &self,
        half: &Half,
        format: InputFormat,
        headers: &HeaderMap,
        [source, body]: [Bytes; 2],
        context: Context,
        most: usize,
    ) -> Work {
        Work {
            bodies: self.bodies.clone(),
            template: half.template.clone(),
            format,
            content_type: headers.get(CONTENT_TYPE).map(|told| told.as_bytes().to_vec()).unwrap_or_default(),
            source,
            body,
            context,
            most,
        }
    }

    /// What becomes of an answer that cannot be worked on.
    fn failed(&self, reason: impl std::fmt::Display, response: Response) -> Response {
        #[cfg(feature = "tracing")]
        tracing::error!(plugin = NAME, %reason, on_error = ?self.on_error, "an answer cannot be transformed");
        #[cfg(not(feature = "tracing"))]
        let _ = reason;
        match self.on_error {
            OnError::Pass => response,
            OnError::Refuse => reject(StatusCode::BAD_GATEWAY, NAME, "the answer cannot be transformed"),
        }
    }
}

/// What is kept of a request for its answer.
struct Asked {
    by_head: bool,
    query: Bytes,
    exchange: Option<Exchange>,
}

impl Asked {
    fn of(half: &Half, request: &mut Request) -> Self {
        let exchange = half.wants_exchange();
        let exchange = exchange.then(|| request.extensions_mut().get_or_insert_default::<Exchange>().clone());
        let query = match half.format {
            Some(InputFormat::Args) => Bytes::copy_from_slice(request.uri().query().unwrap_or_default().as_bytes()),
            _ => Bytes::new(),
        };
        Self { by_head: request.method() == Method::HEAD, query, exchange }
    }
}

/// Why the content of an answer is nothing to work on.
fn unfit(headers: &HeaderMap) -> Option<&'static str> {
    let is_coding = |coding: &[u8]| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity");
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| is_coding(coding.as_bytes().trim_ascii())) {
        return Some("an answer is encoded");
    }
    headers.contains_key(CONTENT_RANGE).then_some("an answer is a part that was not asked for")
}

/// An answer without a body. One to `HEAD` does not tell of the body that `GET` would not get.
fn bare(mut response: Response, by_head: bool) -> Response {
    if by_head && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        representation::forget(response.headers_mut());
    }
    response
}

fn guess(headers: &HeaderMap) -> InputFormat {
    headers.get(CONTENT_TYPE).map_or(InputFormat::Plain, |told| InputFormat::of(told.as_bytes()))
}

impl Around for BodyTransformer {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        // What the answer's template says of the request is what the client sent.
        let kept = self.response.as_ref().map(|half| (half.of_request(&request), Asked::of(half, &mut request)));
        if let Some(half) = &self.request {
            request = match self.request(half, request).await {
                Ok(request) => request,
                Err(response) => return response,
            };
        }
        let (Some(half), Some((context, asked))) = (&self.response, kept) else { return next.run(request).await };
        // A template works on whole and plain bodies; a part, which a client may ask for, would not be of its format.
        for name in [ACCEPT_ENCODING, RANGE, IF_RANGE] {
            request.headers_mut().remove(name);
        }
        let response = next.run(request).await;
        self.response(half, response, context, asked).await
    }
}
