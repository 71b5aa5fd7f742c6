//! `error-page`: pages of one's own for errors that the gateway answers with itself. Stage: respond.
//!
//! What the pages are is told once for the whole gateway (metadata); a block, which is empty, says where they are
//! shown.
//!
//! Decision: 1. metadata has `enable: true`; 2. the answer was made by the gateway or one of its plugins, not by an
//! upstream;
//! 3. its status is 404, 500, 502 or 503, and metadata has a page for it that is not empty → that page with its type.
//!    The status
//! and other fields stay, but for those that told of the old body (coding, validators, ranges, digests).
//!
//! In a global rule it covers requests without a route, too. The page replaces the form that `tollgate.errors` chooses.
//!
//! ```
//! use tollgate::plugins::error_page::{ErrorPage, ErrorPageLayer, ErrorPageMetadata, PageConfig};
//!
//! let mut metadata = ErrorPageMetadata::default();
//! metadata.enable = true;
//! metadata.error_502 = Some(PageConfig::new("<h1>We will be back in a moment</h1>"));
//! let layer = ErrorPageLayer::of(ErrorPage::new(metadata)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"error-page": {}}
//! ```
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Fault, keep_as_it_is};
use crate::plugin::{Around, AroundLayer, BuildContext, ConfigError, Plugin, SchemaOf, Stage, shape};
use crate::plugins::representation;
use crate::{Body, Next, PluginLayer, Request, Response};

/// Options of `error-page`: none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ErrorPageConfig {}

/// What `error-page` is told for the whole gateway.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ErrorPageMetadata {
    /// Whether there are such pages. Default `false`.
    pub enable: bool,
    /// The page of 404. Default: none.
    pub error_404: Option<PageConfig>,
    /// The page of 500. Default: none.
    pub error_500: Option<PageConfig>,
    /// The page of 502. Default: none.
    pub error_502: Option<PageConfig>,
    /// The page of 503. Default: none.
    pub error_503: Option<PageConfig>,
}

/// A page.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PageConfig {
    /// Its text; an empty one leaves the answer as it is. Default: empty.
    pub body: String,
    /// Its media type. Default `text/html`.
    pub content_type: String,
}

impl PageConfig {
    /// A page in HTML.
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
}

impl Default for PageConfig {
    fn default() -> Self {
        Self { body: String::new(), content_type: "text/html".to_owned() }
    }
}

/// The pages, compiled.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    pages: Vec<(StatusCode, Bytes, HeaderValue)>,
}

/// Applies [`ErrorPage`].
pub type ErrorPageLayer = AroundLayer<ErrorPage>;

impl ErrorPage {
    /// Compiles the pages.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(metadata: ErrorPageMetadata) -> Result<Self, ConfigError> {
        let named = [
            ("error_404", StatusCode::NOT_FOUND, metadata.error_404),
            ("error_500", StatusCode::INTERNAL_SERVER_ERROR, metadata.error_500),
            ("error_502", StatusCode::BAD_GATEWAY, metadata.error_502),
            ("error_503", StatusCode::SERVICE_UNAVAILABLE, metadata.error_503),
        ];
        let mut pages = Vec::new();
        for (field, status, page) in named {
            let Some(PageConfig { body, content_type }) = page else { continue };
            let content_type = HeaderValue::from_str(&content_type).map_err(|_| {
                let field = format!("{field}.content_type");
                ConfigError::invalid(ErrorPagePlugin::NAME, field, "is no media type: write one such as text/html")
            })?;
            if metadata.enable && !body.is_empty() {
                pages.push((status, body.into(), content_type));
            }
        }
        Ok(Self { pages })
    }

    fn show(&self, response: &mut Response) {
        let page = self.pages.iter().find(|(status, ..)| *status == response.status());
        let Some((_, body, content_type)) = page.filter(|_| response.extensions().get::<Fault>().is_some()) else {
            return;
        };
        representation::forget(response.headers_mut());
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        *response.body_mut() = Body::from(body.clone());
        keep_as_it_is(response);
    }
}

impl Around for ErrorPage {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        self.show(&mut response);
        response
    }
}

/// Registry entry of `error-page`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorPagePlugin;

impl Plugin for ErrorPagePlugin {
    const NAME: &'static str = "error-page";
    const STAGE: Stage = Stage::Respond;
    const PRIORITY: i32 = 450;
    type Config = ErrorPageConfig;

    fn schema(of: SchemaOf) -> Option<Value> {
        of.block::<ErrorPageConfig>().or_else(|| of.metadata::<ErrorPageMetadata>())
    }

    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        ErrorPage::new(shape(Self::NAME, metadata)?).map(drop)
    }

    fn build(&self, _: ErrorPageConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let metadata = cx.metadata(Self::NAME)?.unwrap_or_default();
        Ok(ErrorPageLayer::of(ErrorPage::new(metadata)?).into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::{ask_over, configured};
    use crate::{Error, IntoResponse as _, reject_empty};

    async fn shown(metadata: Value, response: fn() -> Response) -> (u16, String, Option<String>) {
        let layer = ErrorPageLayer::of(ErrorPage::new(configured(metadata)).unwrap()).into();
        let end = Next::from_fn(move |_| async move { response() });
        let answer = ask_over(&layer, end, Request::default()).await;
        (answer.status(), answer.body().to_owned(), answer.header("content-type"))
    }

    #[tokio::test]
    async fn pages_are_of_the_gateways_own_errors_only() {
        let pages = json!({"enable": true, "error_404": {"body": "gone"}, "error_503": {"body": "later", "content_type": "text/plain"},
            "error_502": {"body": ""}});
        let html = Some("text/html".to_owned());
        assert_eq!(shown(pages.clone(), || Error::NoRoute.into_response()).await, (404, "gone".to_owned(), html));
        let plain = Some("text/plain".to_owned());
        let plugins = || reject_empty(StatusCode::SERVICE_UNAVAILABLE, "test");
        assert_eq!(shown(pages.clone(), plugins).await, (503, "later".to_owned(), plain));
        assert_eq!(
            shown(pages.clone(), || reject_empty(StatusCode::BAD_GATEWAY, "test")).await,
            (502, String::new(), None)
        );
        let upstreams = || {
            let mut response = Response::new(Body::from("theirs"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        };
        assert_eq!(shown(pages, upstreams).await, (404, "theirs".to_owned(), None));
        let off = json!({"error_404": {"body": "gone"}});
        assert_eq!(shown(off, || reject_empty(StatusCode::NOT_FOUND, "test")).await, (404, String::new(), None));
    }

    #[tokio::test]
    async fn nothing_is_told_of_the_old_body() {
        let pages = json!({"enable": true, "error_404": {"body": "gone"}});
        let layer = ErrorPageLayer::of(ErrorPage::new(configured(pages)).unwrap()).into();
        let end = Next::from_fn(|_| async {
            let mut response = reject_empty(StatusCode::NOT_FOUND, "test");
            for name in ["content-encoding", "content-length", "etag", "last-modified", "digest", "cache-control"] {
                response.headers_mut().insert(name, HeaderValue::from_static("gzip"));
            }
            response
        });
        let answer = ask_over(&layer, end, Request::default()).await;
        assert_eq!((answer.status(), answer.body()), (404, "gone"));
        for name in ["content-encoding", "content-length", "etag", "last-modified", "digest"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("cache-control").as_deref(), Some("gzip"));
    }

    #[test]
    fn faults_name_their_field() {
        let metadata = json!({"error_500": {"content_type": "\n"}});
        let error = ErrorPagePlugin.check_metadata(metadata.as_object().unwrap()).unwrap_err();
        assert_eq!(error.field(), "error_500.content_type");
    }
}
