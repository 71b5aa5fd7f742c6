//! `echo`: puts text around answers, or in their place: to see that a route works, and where an answer comes from.
//! Stage: respond.
//!
//! 1. `body` replaces the body. Trailers of the old one are left out, so it is nothing for gRPC.
//! 2. `before_body` and `after_body` stand around it; what is between them streams, and trailers pass. An answer in a
//!    content coding, and one that is a part (206), gets neither, since they would break it.
//! 3. `headers` are set.
//!
//! Where bodies change, what told of the old one comes off: length, coding, `ETag`, `Last-Modified`, ranges and
//! digests. Switches of protocol (101) and answers that have no body (to HEAD; 204, 304) keep it that way. Answers of
//! inner plugins and of the gateway itself are changed as well.
//!
//! ```
//! use tollgate::plugins::echo::{Echo, EchoConfig, EchoLayer};
//!
//! let mut config = EchoConfig::default();
//! config.before_body = Some("<!-- by the gateway -->".to_owned());
//! let layer = EchoLayer::of(Echo::new(config)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"echo": {"before_body": "before the body ", "headers": {"X-Seen-By": "echo"}}}
//! ```
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_RANGE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body::{Body as HttpBody, Frame};
use serde::Deserialize;

use super::checks::own_field;
use super::representation;
use crate::error::keep_as_it_is;
use crate::plugin::{Around, AroundLayer, BuildContext, ConfigError, Plugin, SchemaOf, Stage};
use crate::{Body, BodyError, Next, PluginLayer, Request, Response};

/// Options of `echo`. At least one of `before_body`, `body` and `after_body` is required.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EchoConfig {
    /// Text before the body. Default: none.
    pub before_body: Option<String>,
    /// The body. Default: the answer's own.
    pub body: Option<String>,
    /// Text behind the body. Default: none.
    pub after_body: Option<String>,
    /// Fields that are set, as they are: variables are not filled in. Default: none.
    pub headers: BTreeMap<String, String>,
}

/// One block of `echo`, compiled.
#[derive(Clone, Debug)]
pub struct Echo {
    before: Bytes,
    body: Option<Bytes>,
    after: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Applies [`Echo`].
pub type EchoLayer = AroundLayer<Echo>;

impl Echo {
    /// Compiles the options.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: EchoConfig) -> Result<Self, ConfigError> {
        const NAME: &str = EchoPlugin::NAME;
        if config.before_body.is_none() && config.body.is_none() && config.after_body.is_none() {
            return Err(ConfigError::invalid(NAME, "", "write at least one of `before_body`, `body` and `after_body`"));
        }
        let header = |(name, value): (String, String)| {
            let field = format!("headers.{name}");
            let value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| ConfigError::invalid(NAME, &*field, "holds a character that no field may have"))?;
            Ok((own_field(NAME, &field, &name)?, value))
        };
        Ok(Self {
            before: config.before_body.unwrap_or_default().into(),
            body: config.body.map(Bytes::from),
            after: config.after_body.unwrap_or_default().into(),
            headers: config.headers.into_iter().map(header).collect::<Result<_, _>>()?,
        })
    }

    fn change(&self, response: &mut Response, of_head: bool) {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let has_none = of_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        if let Some(body) = &self.body {
            representation::forget(headers);
            if !has_none {
                *response.body_mut() = Body::from([&*self.before, body, &*self.after].concat());
                keep_as_it_is(response);
            }
        } else if !headers.contains_key(CONTENT_ENCODING) && !headers.contains_key(CONTENT_RANGE) {
            representation::forget(headers);
            if !has_none {
                let inner = std::mem::take(response.body_mut());
                *response.body_mut() = Body::stream(Wrapped::new(&self.before, inner, &self.after));
                keep_as_it_is(response);
            }
        }
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
    }
}

impl Around for Echo {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let of_head = request.method() == Method::HEAD;
        let mut response = next.run(request).await;
        self.change(&mut response, of_head);
        response
    }
}

/// A body with text around it; trailers stay last.
struct Wrapped {
    before: VecDeque<Bytes>,
    inner: Body,
    after: Bytes,
    trailers: Option<Frame<Bytes>>,
}

impl Wrapped {
    fn new(before: &Bytes, inner: Body, after: &Bytes) -> Self {
        let before = [before].into_iter().filter(|text| !text.is_empty()).cloned().collect();
        Self { before, inner, after: after.clone(), trailers: None }
    }
}

impl HttpBody for Wrapped {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        if let Some(text) = me.before.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        if me.trailers.is_none() {
            match ready!(Pin::new(&mut me.inner).poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_trailers() => me.trailers = Some(frame),
                Some(other) => return Poll::Ready(Some(other)),
                None => {}
            }
        }
        let after = std::mem::take(&mut me.after);
        Poll::Ready(match after.is_empty() {
            false => Some(Ok(Frame::data(after))),
            true => me.trailers.take().map(Ok),
        })
    }
}

/// Registry entry of `echo`.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoPlugin;

impl Plugin for EchoPlugin {
    const NAME: &'static str = "echo";
    const STAGE: Stage = Stage::Respond;
    const PRIORITY: i32 = 412;
    type Config = EchoConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<EchoConfig>()
    }

    fn build(&self, config: EchoConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(EchoLayer::of(Echo::new(config)?).into())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{ask_over, build_error, built};

    /// An end that answers `inner` with fields that tell of it.
    fn end(coding: &'static str, status: u16) -> Next {
        Next::from_fn(move |_| async move {
            let mut response = Response::new(Body::from("inner"));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in [("content-length", "5"), ("etag", "\"1\""), ("content-encoding", coding)] {
                if !value.is_empty() {
                    response.headers_mut().insert(name, HeaderValue::from_static(value));
                }
            }
            response
        })
    }

    async fn asked(block: &Value, coding: &'static str, method: Method, status: u16) -> (String, Option<String>) {
        let mut request = Request::default();
        *request.method_mut() = method;
        let answer = ask_over(&built(EchoPlugin, block), end(coding, status), request).await;
        (answer.body().to_owned(), answer.header("content-length"))
    }

    #[tokio::test]
    async fn text_stands_around_a_body_or_in_its_place() {
        let around = json!({"before_body": "<", "after_body": ">", "headers": {"X-A": "b"}});
        let instead = json!({"before_body": "<", "body": "new", "after_body": ">"});
        let kept = ("inner".to_owned(), Some("5".to_owned()));
        assert_eq!(asked(&around, "", Method::GET, 200).await, ("<inner>".to_owned(), None));
        assert_eq!(asked(&instead, "", Method::GET, 200).await, ("<new>".to_owned(), None));
        assert_eq!(asked(&instead, "gzip", Method::GET, 200).await, ("<new>".to_owned(), None));
        assert_eq!(asked(&around, "gzip", Method::GET, 200).await, kept, "text would break a content coding");
        assert_eq!(asked(&around, "", Method::HEAD, 200).await, ("inner".to_owned(), None));
        assert_eq!(asked(&around, "", Method::GET, 304).await, ("inner".to_owned(), None));
        assert_eq!(asked(&around, "", Method::GET, 101).await, kept);
        let answer = ask_over(&built(EchoPlugin, &around), end("", 200), Request::default()).await;
        assert_eq!((answer.header("x-a").as_deref(), answer.header("etag")), (Some("b"), None));
        let answer = ask_over(&built(EchoPlugin, &instead), end("", 200), Request::default()).await;
        assert_eq!(answer.header("etag"), None);
    }

    #[tokio::test]
    async fn a_part_stays_a_part() {
        let part = Next::from_fn(|_| async {
            let part = http::Response::builder().status(206).header("content-range", "bytes 0-4/9");
            part.header("etag", "\"1\"").body(Body::from("inner")).unwrap()
        });
        let block = json!({"before_body": "<", "headers": {"x-a": "b"}});
        let answer = ask_over(&built(EchoPlugin, &block), part, Request::default()).await;
        assert_eq!((answer.body(), answer.header("x-a").as_deref()), ("inner", Some("b")));
        assert!(answer.header("content-range").is_some() && answer.header("etag").is_some());
    }

    #[tokio::test]
    async fn trailers_stay_last() {
        let frames = [
            Ok::<_, BodyError>(Frame::data(Bytes::from("a"))),
            Ok(Frame::trailers([(http::header::ETAG, HeaderValue::from_static("t"))].into_iter().collect())),
        ];
        let inner = Body::new(StreamBody::new(stream::iter(frames)));
        let whole = Wrapped::new(&Bytes::from("<"), inner, &Bytes::from(">")).collect().await.unwrap();
        assert_eq!(whole.trailers().map(http::HeaderMap::len), Some(1));
        assert_eq!(whole.to_bytes(), "<a>");
    }

    #[test]
    fn faults_name_their_field() {
        for (block, says) in [
            (json!({"headers": {"a": "b"}}), "write at least one of"),
            (json!({"body": "", "headers": {"content-length": "1"}}), "headers.content-length: "),
            (json!({"body": "", "headers": {"a": "\n"}}), "headers.a: "),
        ] {
            let error = build_error(EchoPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
