//! A compiled route: everything that a request needs, made when the configuration was compiled.
use std::sync::{Arc, OnceLock};

use crate::error::Error;
use crate::model::EncodedSlash;
use crate::request::RouteInfo;
use crate::upstream::{Timeouts, Upstream};
use crate::{Next, PluginLayer, wire};

/// A route as requests see it.
pub(crate) struct Route {
    /// Its id, name and service.
    pub(crate) info: Arc<RouteInfo>,
    /// The layers around `forward`.
    pub(crate) chain: Chain,
    /// What stands at the end of the chain.
    pub(crate) forward: Arc<Forward>,
    /// Whether layers or services of this process are told what matched.
    pub(crate) describes: bool,
    /// What an encoded slash in the path means here; `None` as the settings say.
    pub(crate) encoded_slash: Option<EncodedSlash>,
}

/// The end of a route's chain.
pub(crate) struct Forward {
    /// The upstream, or why there is none (model.md §7.6).
    pub(crate) target: Result<Arc<Upstream>, Error>,
    /// Time-outs of the route, in place of the upstream's.
    pub(crate) timeouts: Option<Timeouts>,
    /// Whether an upgrade is passed on.
    pub(crate) websocket: bool,
}

/// A route's layers. The wiring is made when the first request comes, so that idle routes hold no chain.
pub(crate) struct Chain {
    layers: Box<[PluginLayer]>,
    wired: OnceLock<Next>,
}

impl Chain {
    /// Whether there is no layer.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Layers from the outermost inwards.
    pub(crate) fn new(layers: Vec<PluginLayer>) -> Self {
        Self { layers: layers.into_boxed_slice(), wired: OnceLock::new() }
    }

    /// The wired chain, or `None` when there is no layer and `end` can be called directly.
    pub(crate) fn wired(&self, end: impl FnOnce() -> Next) -> Option<&Next> {
        if self.layers.is_empty() {
            return None;
        }
        Some(self.wired.get_or_init(|| wire(self.layers.iter(), end())))
    }
}
