//! `client-control`: how long the bodies of a route's requests may be, in place of `tollgate.limits.body_bytes`. Stage:
//! edge.
//!
//! Decision: 1. the body announces more than `max_body_size` → 413 without a body, at once; 2. more comes than that →
//! 413 as soon as it does, and the request upstream is broken off; 3. else the request passes. Nothing is buffered. A
//! block without `max_body_size` changes nothing.
//!
//! The limit may be higher than the gateway's as well as lower. Where it can only be lower: in the block of a consumer
//! or a consumer group, on a route without a block of this plugin, and in code, where a layer sees bodies that are
//! limited already. What reads bodies further out, such as `request-validation` in a global rule, reads them under the
//! gateway's limit.
//!
//! ```
//! use tollgate::plugins::client_control::{ClientControl, ClientControlConfig, ClientControlLayer};
//!
//! let mut config = ClientControlConfig::default();
//! config.max_body_size = Some(1024);
//! let layer = ClientControlLayer::of(ClientControl::new(&config)); // for an axum router, a `ServiceBuilder`, …
//! # let _ = layer;
//! ```
//!
//! ```json
//! {"client-control": {"max_body_size": 1048576}}
//! ```
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as on_ready};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use serde::Deserialize;

use crate::plugin::{AroundLayer, BuildContext, Caveat, ConfigError, Hop, Plugin, SchemaOf, Stage};
use crate::request::BodyLimit;
use crate::{Body, BodyError, BoxFuture, Next, PluginLayer, Request, reject_empty};

/// Options of `client-control`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientControlConfig {
    /// Longest body in bytes; 0 for no limit. Default: the gateway's (`tollgate.limits.body_bytes`).
    pub max_body_size: Option<u64>,
}

/// One block of `client-control`.
#[derive(Clone, Debug)]
pub struct ClientControl {
    /// `None` leaves the gateway's limit.
    most: Option<u64>,
}

/// Applies [`ClientControl`].
pub type ClientControlLayer = AroundLayer<ClientControl>;

impl ClientControl {
    /// Takes the options.
    pub fn new(config: &ClientControlConfig) -> Self {
        Self { most: config.max_body_size.map(|most| if most == 0 { u64::MAX } else { most }) }
    }
}

impl Hop for ClientControl {
    fn run(self: &Arc<Self>, mut request: Request, next: &Next) -> BoxFuture {
        let Some(most) = self.most.filter(|_| !request.body().is_empty()) else { return next.run(request) };
        if request.body().size_hint().lower() > most {
            return Box::pin(ready(reject_empty(StatusCode::PAYLOAD_TOO_LARGE, ClientControlPlugin::NAME)));
        }
        match request.extensions().get::<BodyLimit>() {
            Some(limit) => limit.set(most),
            None => {
                let inner = std::mem::take(request.body_mut());
                *request.body_mut() = Body::stream(Limited { inner, left: most, limit: most });
            }
        }
        next.run(request)
    }
}

/// A body of which at most so many bytes pass.
struct Limited {
    inner: Body,
    left: u64,
    limit: u64,
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = on_ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            match self.left.checked_sub(bytes) {
                Some(left) => self.left = left,
                None => {
                    // Nothing comes behind the hole.
                    (self.inner, self.left) = (Body::empty(), 0);
                    return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit })));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Registry entry of `client-control`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientControlPlugin;

impl Plugin for ClientControlPlugin {
    const NAME: &'static str = "client-control";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 22_000;
    const SETS_BODY_LIMIT: bool = true;
    type Config = ClientControlConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ClientControlConfig>()
    }

    fn caveats(&self, config: &ClientControlConfig) -> Vec<Caveat> {
        let message = match config.max_body_size {
            None => "is not there, so the block changes nothing",
            Some(0) => "is 0: bodies of any length pass (security.md LIM-03)",
            Some(_) => return Vec::new(),
        };
        vec![Caveat::new("max_body_size", message, "write the longest body in bytes that the service takes")]
    }

    fn build(&self, config: ClientControlConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(ClientControlLayer::of(ClientControl::new(&config)).into())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::{ask_over, built};
    use crate::{Error, IntoResponse as _, Response};

    fn pieces(pieces: &'static [&'static str]) -> Body {
        let frames = pieces.iter().map(|piece| Ok::<_, BodyError>(Frame::data(Bytes::from_static(piece.as_bytes()))));
        Body::new(StreamBody::new(stream::iter(frames)))
    }

    /// Sends a body through a block of 4 bytes; what reads it answers 413 when it is cut off, as upstreams do.
    async fn status(body: Body) -> u16 {
        let layer = built(ClientControlPlugin, &json!({"max_body_size": 4}));
        let end = Next::from_fn(|request: Request| async move {
            match request.into_body().buffer(100).await {
                Ok(_) => Response::default(),
                Err(_) => Error::BodyTooLarge.into_response(),
            }
        });
        ask_over(&layer, end, Request::new(body)).await.status()
    }

    #[tokio::test]
    async fn bodies_are_cut_off_at_the_limit_and_refused_by_what_they_announce() {
        assert_eq!(status(Body::from("1234")).await, 200);
        assert_eq!(status(Body::from("12345")).await, 413);
        assert_eq!(status(pieces(&["12", "34"])).await, 200);
        assert_eq!(status(pieces(&["12", "345"])).await, 413);
        assert_eq!(status(Body::empty()).await, 200);
    }

    #[tokio::test]
    async fn a_limit_of_the_gateway_is_moved_where_a_block_has_one() {
        for (block, moved) in
            [(json!({"max_body_size": 4}), 4), (json!({"max_body_size": 0}), u64::MAX), (json!({}), 1)]
        {
            let limit = BodyLimit::new(1);
            let mut request = Request::new(Body::from("1234"));
            request.extensions_mut().insert(limit.clone());
            let layer = built(ClientControlPlugin, &block);
            let answer = ask_over(&layer, Next::from_fn(|_| async { Response::default() }), request).await;
            assert_eq!((answer.status(), limit.get()), (200, moved), "{block}");
        }
    }

    #[tokio::test]
    async fn nothing_comes_behind_what_was_too_much() {
        let layer = built(ClientControlPlugin, &json!({"max_body_size": 4}));
        let end = Next::from_fn(|request: Request| async move {
            let mut body = request.into_body();
            let mut frames = Vec::new();
            while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
                frames.push(frame.map(|frame| frame.into_data().unwrap()).map_err(|_| "cut off"));
            }
            assert_eq!(frames, [Ok(Bytes::from("12")), Err("cut off")]);
            Response::default()
        });
        let request = Request::new(pieces(&["12", "345", "6"]));
        assert_eq!(ask_over(&layer, end, request).await.status(), 200);
    }

    #[test]
    fn no_limit_is_warned_of() {
        let fields = |most| {
            let caveats = ClientControlPlugin.caveats(&ClientControlConfig { max_body_size: most });
            caveats.into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
        };
        let named = vec!["max_body_size".to_owned()];
        assert_eq!((fields(Some(0)), fields(None), fields(Some(1))), (named.clone(), named, vec![]));
    }
}
