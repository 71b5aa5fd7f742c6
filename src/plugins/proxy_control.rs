//! `proxy-control`: whether a request's body is read before its upstream is asked. Stage: edge.
//!
//! 1. with `request_buffering: true` the body is read first, up to `tollgate.limits.buffer_bytes`: a client that sends
//!    slowly keeps no upstream busy, and a body that is at hand can be sent once more. What is longer is sent on from
//!    there while it arrives. A body that comes too slowly or breaks off is answered with 408 or 400, and the upstream
//!    does not learn of it.
//! 2. with `false` the body is sent on while it arrives, as on routes without the block. A failed attempt is then
//!    repeated as far as the body is still there (`tollgate.limits.replay_bytes`).
//!
//! Caveats: a call that streams, as some of gRPC do, waits with `true` for the end of what its client sends; write
//! `false` there. Elsewhere bodies of any length are read first, on disk; here what is longer than `buffer_bytes`
//! streams from there on.
//!
//! All plugins together hold at most `tollgate.limits.buffer_total_bytes`; when they do, bodies are sent on at once.
//!
//! ```
//! use tollgate::plugins::proxy_control::{ProxyControl, ProxyControlConfig, ProxyControlLayer};
//!
//! let layer = ProxyControlLayer::of(ProxyControl::new(&ProxyControlConfig::default()));
//! # let _ = layer;
//! ```
//!
//! ```json
//! {"proxy-control": {"request_buffering": true}}
//! ```
use std::sync::Arc;

use serde::Deserialize;

use crate::plugin::bodies::{Bodies, Unread};
use crate::plugin::{AroundLayer, BuildContext, ConfigError, Hop, Plugin, SchemaOf, Stage};
use crate::{BoxFuture, Next, PluginLayer, Request, Response};

/// Options of `proxy-control`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProxyControlConfig {
    /// Whether a body is read before the upstream is asked. Default `true`.
    pub request_buffering: bool,
}

impl Default for ProxyControlConfig {
    fn default() -> Self {
        Self { request_buffering: true }
    }
}

/// One block of `proxy-control`.
#[derive(Clone, Debug)]
pub struct ProxyControl {
    /// `None` streams.
    bodies: Option<Bodies>,
}

/// Applies [`ProxyControl`].
pub type ProxyControlLayer = AroundLayer<ProxyControl>;

impl ProxyControl {
    /// Takes the options, with the default limits of bodies.
    pub fn new(config: &ProxyControlConfig) -> Self {
        Self::with_bodies(config, Bodies::default())
    }

    /// Takes the options; bodies are read within these limits.
    pub fn with_bodies(config: &ProxyControlConfig, bodies: Bodies) -> Self {
        Self { bodies: config.request_buffering.then_some(bodies) }
    }

    async fn read_first(bodies: Bodies, mut request: Request, next: Next) -> Response {
        let body = std::mem::take(request.body_mut());
        match bodies.read_ahead(body, bodies.most()).await {
            Ok(body) => *request.body_mut() = body,
            Err(error) => return Unread::Broken(error).into_response(ProxyControlPlugin::NAME),
        }
        next.run(request).await
    }
}

impl Hop for ProxyControl {
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture {
        match &self.bodies {
            Some(bodies) if request.body().as_bytes().is_none() => {
                Box::pin(Self::read_first(bodies.clone(), request, next.clone()))
            }
            _ => next.run(request),
        }
    }
}

/// Registry entry of `proxy-control`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProxyControlPlugin;

impl Plugin for ProxyControlPlugin {
    const NAME: &'static str = "proxy-control";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 21_990;
    type Config = ProxyControlConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ProxyControlConfig>()
    }

    fn build(&self, config: ProxyControlConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(ProxyControlLayer::of(ProxyControl::with_bodies(&config, cx.bodies())).into())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::{ask_over, built};
    use crate::{Body, BodyError};

    fn in_two_pieces(second: Result<&'static str, BodyError>) -> Request {
        let frames = [Ok("a"), second].map(|piece| piece.map(|piece| Frame::data(Bytes::from(piece))));
        Request::new(Body::new(StreamBody::new(stream::iter(frames))))
    }

    /// Says whether the body was at hand.
    fn end() -> Next {
        Next::from_fn(|request: Request| async move {
            Response::new(Body::from(if request.body().as_bytes() == Some(b"ab") { "at hand" } else { "stream" }))
        })
    }

    #[tokio::test]
    async fn a_body_is_at_hand_before_the_rest_of_the_chain_begins() {
        for (block, expected) in [(json!({}), "at hand"), (json!({"request_buffering": false}), "stream")] {
            let layer = built(ProxyControlPlugin, &block);
            assert_eq!(ask_over(&layer, end(), in_two_pieces(Ok("b"))).await.body(), expected);
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_sent_on() {
        let layer = built(ProxyControlPlugin, &json!({}));
        assert_eq!(ask_over(&layer, end(), in_two_pieces(Err(BodyError::Incomplete))).await.status(), 400);
        assert_eq!(ask_over(&layer, end(), in_two_pieces(Err(BodyError::Timeout))).await.status(), 408);
    }
}
