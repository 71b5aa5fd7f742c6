//! The code around the chain.
use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CONTENT_LENGTH, CONTENT_TYPE,
};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Version};

use super::answer::translate;
use super::call::CallBody;
use super::config::GrpcWebConfig;
use crate::error::{IntoResponse as _, Request, Response};
use crate::plugin::{Around, AroundLayer, BuildContext, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::cors::Judged;
use crate::request::{RouteMatch, SharedFacts, rewrite_target};
use crate::{Next, PluginLayer, answer_of, reject_empty};

const NAME: &str = GrpcWebPlugin::NAME;

/// Turns gRPC-Web into gRPC, and answers back.
#[derive(Clone, Debug)]
pub struct GrpcWeb {
    allow_headers: HeaderValue,
    max_req_body_size: u64,
}

/// Puts [`GrpcWeb`] around a service.
pub type GrpcWebLayer = AroundLayer<GrpcWeb>;

impl GrpcWeb {
    /// Compiles the options.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: GrpcWebConfig) -> Result<Self, ConfigError> {
        let allow_headers = HeaderValue::from_str(&config.cors_allow_headers);
        if config.max_req_body_size == 0 {
            return Err(ConfigError::invalid(NAME, "max_req_body_size", "write at least 1"));
        }
        Ok(Self {
            allow_headers: allow_headers
                .map_err(|_| ConfigError::invalid(NAME, "cors_allow_headers", "is no field value"))?,
            max_req_body_size: config.max_req_body_size,
        })
    }

    async fn answer(&self, mut request: Request, next: &Next) -> Response {
        if *request.method() == Method::OPTIONS {
            return self.preflight();
        }
        if *request.method() != Method::POST {
            let mut refusal = reject_empty(StatusCode::METHOD_NOT_ALLOWED, NAME);
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            return refusal;
        }
        let content_type = request.headers().get(CONTENT_TYPE).cloned();
        let Some((content_type, is_text)) = content_type.and_then(|kind| is_text(&kind).map(|is_text| (kind, is_text)))
        else {
            return reject_empty(StatusCode::BAD_REQUEST, NAME);
        };
        if let Some(path) = path_of_call(&request)
            && let Err(error) = rewrite_target(&mut request, path)
        {
            return error.into_response();
        }
        let body = std::mem::take(request.body_mut());
        match CallBody::begin(body, is_text, self.max_req_body_size) {
            Ok(body) => *request.body_mut() = body,
            Err(_) => return reject_empty(StatusCode::PAYLOAD_TOO_LARGE, NAME),
        }
        // It is a call from here on, and its caller's deadline counts as such.
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        request.headers_mut().remove(CONTENT_LENGTH);
        translate(next.run(request).await, content_type, is_text)
    }

    fn preflight(&self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.allow_headers.clone());
        answer_of(NAME, response)
    }
}

/// Whether a content type of gRPC-Web is one of its base64 forms; `None` for any other content type.
fn is_text(content_type: &HeaderValue) -> Option<bool> {
    let kind = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    match &*kind.to_ascii_lowercase() {
        b"application/grpc-web" | b"application/grpc-web+proto" => Some(false),
        b"application/grpc-web-text" | b"application/grpc-web-text+proto" => Some(true),
        _ => None,
    }
}

/// What the `*` at the end of the route's pattern matched, where that is a service and a method. `None`: the path stays.
fn path_of_call(request: &Request) -> Option<PathAndQuery> {
    let matched = RouteMatch::of(request)?;
    let target = request.uri().path_and_query()?;
    let given = SharedFacts::of(request).and_then(|facts| facts.given.as_ref());
    if given.is_some_and(|given| given.target.as_ref() != Some(target)) {
        return None;
    }
    matched.pattern.rsplit('/').next().filter(|last| last.contains('*'))?;
    let (_, rest) = matched.params.iter().last()?;
    let rest = rest.strip_prefix(b"/").unwrap_or(&rest);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-~/".contains(byte);
    if !rest.contains(&b'/') || !rest.iter().all(is_plain) {
        return None;
    }
    let mut path = format!("/{}", String::from_utf8_lossy(rest));
    if let Some(query) = target.query() {
        path.push('?');
        path.push_str(query);
    }
    path.try_into().ok()
}

impl Around for GrpcWeb {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let judged = request.extensions().get::<Judged>().is_some();
        let mut response = self.answer(request, &next).await;
        let headers = response.headers_mut();
        // Which pages may call is decided already where there is a plugin for that.
        if !judged {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("grpc-message,grpc-status"));
        response
    }
}

/// Registry entry of `grpc-web`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcWebPlugin;

impl Plugin for GrpcWebPlugin {
    const NAME: &'static str = "grpc-web";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 505;
    type Config = GrpcWebConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<GrpcWebConfig>()
    }

    fn build(&self, config: GrpcWebConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        GrpcWeb::new(config).map(|web| GrpcWebLayer::of(web).into())
    }
}
