//! From blocks of plugin configuration to the one list of layers of a route (plugins/index.md, "From phases to stages").
use std::cmp::Reverse;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED};
use serde_json::Value;

use crate::error::{Request, Response};
use crate::plugin::Stage;
use crate::{Body, Next, PluginLayer};

/// Decides for one request whether a block exists.
pub(crate) type Filter = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// One block with its place in the chain.
#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) place: Place,
    pub(crate) layer: PluginLayer,
    /// A global rule's block gives way to the route's of the same plugin.
    pub(crate) yields: bool,
    /// Its layer sets how long bodies of requests may be.
    pub(crate) sets_body_limit: bool,
}

/// The sort key, outermost first: stage, global before route, priority downwards, name, order of writing. Some blocks of global
/// rules stand among the route's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    stage: Stage,
    among_routes: bool,
    priority: Reverse<i64>,
    name: &'static str,
    of_route: bool,
    written: usize,
    /// Whether blocks of the plugin that stand elsewhere do something else. The same for all of a name.
    stages_differ: bool,
}

impl Place {
    /// A plugin's place.
    pub(crate) fn plugin(stage: Stage, global: bool, priority: i32, name: &'static str) -> Self {
        let of_route = !global;
        let priority = Reverse(priority.into());
        Self { stage, among_routes: of_route, priority, name, of_route, written: 0, stages_differ: false }
    }

    /// The same place among the blocks of routes, if `is_among`, for a block of a global rule as well.
    pub(crate) fn among_routes(self, is_among: bool) -> Self {
        Self { among_routes: self.among_routes || is_among, ..self }
    }

    /// The same place of a plugin whose blocks do different things in different stages, or do not.
    pub(crate) fn of_differing_stages(self, stages_differ: bool) -> Self {
        Self { stages_differ, ..self }
    }

    /// Whether the plugin's blocks do different things in different stages.
    pub(super) fn stages_differ(&self) -> bool {
        self.stages_differ
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn priority(&self) -> i64 {
        self.priority.0
    }

    /// Whether it is of the route's own blocks, its service's or a consumer's, not of a global rule.
    pub(super) fn is_of_route(&self) -> bool {
        self.of_route
    }

    /// The plugin's name; empty for layers in code.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The place of the `written`th `.layer(..)` of a route in code: just outside the route's Edge stage.
    pub(crate) fn code(written: usize) -> Self {
        Self {
            stage: Stage::Edge,
            among_routes: true,
            priority: Reverse(i64::MAX),
            name: "",
            of_route: true,
            written,
            stages_differ: false,
        }
    }
}

/// Brings blocks into order and drops the keys.
pub(crate) fn in_order(blocks: Vec<Block>) -> Vec<PluginLayer> {
    sorted(blocks).into_iter().map(|block| block.layer).collect()
}

/// Brings blocks into order.
pub(crate) fn sorted(mut blocks: Vec<Block>) -> Vec<Block> {
    blocks.sort_by(|a, b| a.place.cmp(&b.place));
    blocks
}

/// Puts `_meta.filter` around a layer: for requests that it does not hold for, the layer does not exist.
pub(crate) fn filtered(layer: PluginLayer, filter: Filter) -> PluginLayer {
    PluginLayer::from_fn(move |next| {
        let (with, without) = (layer.wrap(next.clone()), next);
        let filter = Arc::clone(&filter);
        Next::from_call(move |request| if filter(&request) { with.run(request) } else { without.run(request) })
    })
}

/// Puts `_meta.error_response` around a layer: answers of the layer itself of status 400 and above get this body.
pub(crate) fn with_error_response(layer: PluginLayer, body: &Value) -> PluginLayer {
    let (text, content_type) = match body {
        Value::String(text) => (text.clone(), "text/plain; charset=utf-8"),
        json => (format!("{json}\n"), "application/json"),
    };
    let text = bytes::Bytes::from(text);
    // Answers that come from behind the layer carry this mark; one mark per block, so that nested blocks don't mix.
    let mark = Arc::new(());
    PluginLayer::from_fn(move |next| {
        let mark = Arc::clone(&mark);
        let text = text.clone();
        let behind = {
            let mark = Arc::clone(&mark);
            Next::from_fn(move |request| {
                let (mark, next) = (Arc::clone(&mark), next.clone());
                async move {
                    let mut response = next.run(request).await;
                    Passed::note(&mut response, mark);
                    response
                }
            })
        };
        let wrapped = layer.wrap(behind);
        Next::from_fn(move |request| {
            let (mark, text, wrapped) = (Arc::clone(&mark), text.clone(), wrapped.clone());
            async move {
                let mut response = wrapped.run(request).await;
                if response.status().as_u16() >= 400 && !Passed::has(&response, &mark) {
                    let headers = response.headers_mut();
                    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                    // What they say is true of the body that goes.
                    for of_body in [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, ETAG, LAST_MODIFIED] {
                        headers.remove(of_body);
                    }
                    *response.body_mut() = Body::from(text);
                }
                response
            }
        })
    })
}

/// Response extension: the blocks that the response came through from behind.
#[derive(Clone, Default)]
struct Passed(Vec<Arc<()>>);

impl Passed {
    fn note(response: &mut Response, mark: Arc<()>) {
        response.extensions_mut().get_or_insert_default::<Self>().0.push(mark);
    }

    fn has(response: &Response, mark: &Arc<()>) -> bool {
        response.extensions().get::<Self>().is_some_and(|passed| passed.0.iter().any(|one| Arc::ptr_eq(one, mark)))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::{reject, wire};

    fn status(code: u16) -> Next {
        Next::from_fn(move |_| async move {
            let mut response = Response::new(Body::from("theirs"));
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            response
        })
    }

    fn rejecting() -> PluginLayer {
        PluginLayer::from_fn(|_| Next::from_fn(|_| async { reject(StatusCode::FORBIDDEN, "test", "no") }))
    }

    /// Both as one layer, the first one outside.
    fn wire_in(outer: &PluginLayer, inner: PluginLayer) -> PluginLayer {
        let outer = outer.clone();
        PluginLayer::from_fn(move |next| outer.wrap(inner.wrap(next)))
    }

    fn passing() -> PluginLayer {
        PluginLayer::from_fn(|next| next)
    }

    #[test]
    fn order_is_stage_global_priority_name() {
        let mut places = [
            Place::plugin(Stage::Access, false, 1, "z"),
            Place::plugin(Stage::Edge, false, 9000, "edge"),
            Place::plugin(Stage::Access, true, 0, "global"),
            Place::plugin(Stage::Access, true, 2, "aa").among_routes(true),
            Place::plugin(Stage::Access, true, 2, "b").among_routes(true),
            Place::plugin(Stage::Access, false, 2, "b"),
            Place::plugin(Stage::Access, false, 2, "a"),
            Place::code(1),
            Place::code(0),
            Place::plugin(Stage::Edge, true, 1, "global edge"),
        ];
        places.sort();
        let names: Vec<_> = places.iter().map(|place| place.name).collect();
        assert_eq!(names, ["global edge", "", "", "edge", "global", "a", "aa", "b", "b", "z"]);
        assert_eq!((places[1].written, places[2].written), (0, 1));
        assert!(!places[7].of_route && places[8].of_route, "the global rule's stands outside of the route's");
    }

    #[tokio::test]
    async fn error_response_replaces_the_layers_own_answers_only() {
        let body = serde_json::json!({"code": "slow_down"});
        let own = with_error_response(rejecting(), &body).wrap(status(200)).run(Request::default()).await;
        assert_eq!(own.status(), 403);
        assert_eq!(own.body().as_bytes(), Some(&b"{\"code\":\"slow_down\"}\n"[..]));
        let measured = PluginLayer::new(tower::util::MapResponseLayer::new(|mut response: Response| {
            *response.status_mut() = StatusCode::FORBIDDEN;
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("6"));
            response
        }));
        let own =
            with_error_response(wire_in(&measured, rejecting()), &body).wrap(status(200)).run(Request::default()).await;
        assert!(!own.headers().contains_key(CONTENT_LENGTH), "{:?}", own.headers());
        let theirs = with_error_response(passing(), &body).wrap(status(503)).run(Request::default()).await;
        assert_eq!(theirs.body().as_bytes(), Some(&b"theirs"[..]));
    }

    #[tokio::test]
    async fn a_filter_that_does_not_hold_removes_the_layer() {
        let only_posts: Filter = Arc::new(|request| request.method() == http::Method::POST);
        let chain = wire([filtered(rejecting(), only_posts)].iter(), status(200));
        assert_eq!(chain.run(Request::default()).await.status(), 200);
        let mut post = Request::default();
        *post.method_mut() = http::Method::POST;
        assert_eq!(chain.run(post).await.status(), 403);
    }
}
