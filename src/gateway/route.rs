//! A compiled route: everything that a request needs, made when the configuration was compiled.
use std::sync::{Arc, OnceLock};

use super::chain::{Block, sorted};
use super::fork::Fork;
use crate::error::Error;
use crate::model::EncodedSlash;
use crate::plugin::Stage;
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

impl Forward {
    /// Whether the upstream looks at more of a request than its head.
    pub(crate) fn asks_for_facts(&self) -> bool {
        self.target.as_ref().is_ok_and(|upstream| upstream.config().hash.is_some())
    }
}

/// A route's layers. The wiring is made when the first request comes, so that idle routes hold no chain.
pub(crate) struct Chain {
    /// From the outermost inwards, up to the fork if there is one.
    before: Box<[PluginLayer]>,
    /// What stands behind the fork; without one, everything stands before it.
    fork: Option<Behind>,
    /// Whether a layer sets how long bodies may be.
    sets_body_limit: bool,
    wired: OnceLock<Next>,
}

struct Behind {
    blocks: Arc<[Block]>,
    /// The plugins of the route's own blocks before the fork, and where they stand.
    before: Arc<[(&'static str, Stage)]>,
}

impl Chain {
    /// Whether there is no layer.
    pub(crate) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.fork.is_none()
    }

    /// A chain of blocks, in any order. It forks behind its Authenticate stage if anything before may identify a caller.
    pub(crate) fn new(blocks: Vec<Block>) -> Self {
        let mut blocks = sorted(blocks);
        let sets_body_limit = blocks.iter().any(|block| block.sets_body_limit);
        let identifies = |block: &Block| matches!(block.place.stage(), Stage::Edge | Stage::Authenticate);
        if !blocks.iter().any(identifies) {
            return Self::straight(blocks);
        }
        let at = blocks.partition_point(|block| block.place.stage() <= Stage::Authenticate);
        let behind = blocks.split_off(at);
        let own = blocks.iter().map(|block| &block.place).filter(|place| place.is_of_route());
        let own = own.map(|place| (place.name(), place.stage())).collect();
        Self {
            before: blocks.into_iter().map(|block| block.layer).collect(),
            fork: Some(Behind { blocks: behind.into(), before: own }),
            sets_body_limit,
            wired: OnceLock::new(),
        }
    }

    /// A chain without a fork, whoever calls: of requests that have no route to which his blocks could belong.
    pub(crate) fn straight(blocks: Vec<Block>) -> Self {
        let sets_body_limit = blocks.iter().any(|block| block.sets_body_limit);
        let before = sorted(blocks).into_iter().map(|block| block.layer).collect();
        Self { before, fork: None, sets_body_limit, wired: OnceLock::new() }
    }

    /// Whether a layer may set another limit of bodies than the gateway's.
    pub(crate) fn sets_body_limit(&self) -> bool {
        self.sets_body_limit
    }

    /// The wired chain, or `None` when there is no layer and `end` can be called directly.
    pub(crate) fn wired(&self, end: impl FnOnce() -> Next) -> Option<&Next> {
        self.wired_if(false, end)
    }

    /// As [`Chain::wired`], and `always` also without a layer: in a chain the end is told the facts of the request.
    pub(crate) fn wired_if(&self, always: bool, end: impl FnOnce() -> Next) -> Option<&Next> {
        if self.is_empty() && !always {
            return None;
        }
        Some(self.wired.get_or_init(|| {
            let end = match &self.fork {
                None => end(),
                Some(behind) => Fork::join(Arc::clone(&behind.blocks), Arc::clone(&behind.before), end()),
            };
            wire(self.before.iter(), end)
        }))
    }
}
