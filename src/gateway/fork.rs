//! Where a chain forks: the caller is known, and blocks of his own join the route's or replace them (plugins/index.md,
//! "From phases to stages").
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use super::answer::ready;
use super::chain::{Block, Place, in_order};
use crate::error::{Error, IntoResponse, Request, Response};
use crate::plugin::Stage;
use crate::request::{Consumer, Overlaid, SteppedAside};
use crate::service::BoxFuture;
use crate::{Next, PluginLayer, wire};

/// What a consumer and its group bring along.
pub(super) enum Overlay {
    /// Blocks by plugin; `None` switches the route's off.
    Blocks(BTreeMap<String, Option<Block>>),
    /// The group that the consumer names does not exist (model.md §7.6).
    GroupMissing,
}

/// Response extension: plugins whose blocks on the route step aside, since the consumer has its own.
#[derive(Clone)]
struct Aside(Arc<[&'static str]>);

/// Drops what a gateway behind this one said of its own consumers' blocks.
pub(super) fn forget_aside(response: &mut Response) {
    response.extensions_mut().remove::<Aside>();
}

/// The second half of a route's chain: one for callers without blocks of their own, and one for each set of such blocks,
/// wired when its first request comes.
pub(super) struct Fork {
    base: Next,
    end: Next,
    /// The route's blocks behind the fork.
    behind: Arc<[Block]>,
    /// The plugins of the route's own blocks before the fork, and where they stand.
    before: Arc<[(&'static str, Stage)]>,
    halves: Halves,
}

impl Fork {
    /// Joins the second half of a chain.
    pub(super) fn join(behind: Arc<[Block]>, before: Arc<[(&'static str, Stage)]>, end: Next) -> Next {
        let layers: Vec<_> = behind.iter().map(|block| block.layer.clone()).collect();
        let base = wire(layers.iter(), end.clone());
        let fork = Self { base, end, behind, before, halves: Halves::default() };
        Next::from_call(move |request| fork.run(request))
    }

    fn run(&self, request: Request) -> BoxFuture {
        let Some(overlaid) = Consumer::of(&request).and_then(Consumer::overlay) else { return self.base.run(request) };
        let Some(half) = self.halves.slot(overlaid.slot) else {
            return self.wire(overlaid).run(request);
        };
        match &*half.load() {
            Some(wired) if Arc::ptr_eq(&wired.blocks, &overlaid.blocks) => wired.next.run(request),
            _ => {
                let next = self.wire(overlaid);
                half.store(Some(Arc::new(Half { blocks: Arc::clone(&overlaid.blocks), next: next.clone() })));
                next.run(request)
            }
        }
    }

    fn wire(&self, overlaid: &Overlaid) -> Next {
        let blocks: &dyn Any = &*overlaid.blocks;
        let blocks = match blocks.downcast_ref() {
            Some(Overlay::Blocks(blocks)) => blocks,
            Some(Overlay::GroupMissing) | None => {
                let missing = Error::Configuration {
                    status: http::StatusCode::SERVICE_UNAVAILABLE,
                    reason: "consumer_group_missing",
                };
                return Next::from_call(move |_| ready(missing.clone().into_response()));
            }
        };
        let own = |name: &str| match blocks.get(name) {
            None => Own::Nothing,
            Some(None) => Own::Off,
            Some(Some(block)) => Own::In(block.place.stage()),
        };
        let stays = |block: &&Block| !gives_way(&block.place, own(block.place.name()));
        let mut chain: Vec<Block> = self.behind.iter().filter(stays).cloned().collect();
        let mut aside = Vec::new();
        for block in blocks.values().flatten() {
            match fate(&block.place, &self.before, |stage, name| self.has_behind(stage, name)) {
                Fate::Hidden => continue,
                Fate::Replaces => aside.push(block.place.name()),
                Fate::Joins => {}
            }
            chain.push(block.clone());
        }
        // A block that is switched off switches off what answers pass, too.
        let off = blocks.iter().filter(|(_, block)| block.is_none()).map(|(name, _)| name);
        aside.extend(off.filter_map(|name| Some(self.before.iter().find(|(before, _)| before == name)?.0)));
        let next = wire(in_order(chain).iter(), self.end.clone());
        if aside.is_empty() {
            return next;
        }
        let aside: Arc<[&'static str]> = aside.into();
        Next::from_call(move |request| {
            let answer = next.run(request);
            let aside = Aside(Arc::clone(&aside));
            Box::pin(async move {
                let mut response = answer.await;
                response.extensions_mut().insert(aside);
                response
            })
        })
    }

    fn has_behind(&self, stage: Stage, name: &str) -> bool {
        let is_one = |place: &Place| place.is_of_route() && place.stage() == stage && place.name() == name;
        self.behind.iter().any(|block| is_one(&block.place))
    }
}

/// What the caller has of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// No block.
    Nothing,
    /// One that switches the plugin off.
    Off,
    /// One of that stage.
    In(Stage),
}

/// Whether a route's block makes room for the caller's own of the same plugin. Where the plugin does different things in different
/// stages, that has to be of the same one, or nothing would do what the route's did.
pub(super) fn gives_way(place: &Place, own: Own) -> bool {
    // What has acted before the caller was known, has acted.
    let in_time = matches!(place.stage(), Stage::Access | Stage::Forward | Stage::Observe | Stage::Respond);
    let takes_its_place = match own {
        Own::Nothing => false,
        Own::Off => true,
        Own::In(stage) => stage == place.stage() || !place.stages_differ(),
    };
    in_time && place.is_of_route() && takes_its_place
}

/// What becomes of a block that the caller brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs, beside or in the place of what stands behind the fork.
    Joins,
    /// It runs, and the route's block of the plugin, which has seen the request already, steps aside for the answer.
    Replaces,
    /// It does not run: the route's block of the plugin acts before the caller is known.
    Hidden,
}

/// What becomes of a caller's block, by the plugins of the route's own blocks before and behind the fork, and their stages.
pub(super) fn fate(place: &Place, before: &[(&'static str, Stage)], is_behind: impl Fn(Stage, &str) -> bool) -> Fate {
    let (stage, name) = (place.stage(), place.name());
    let meets = |one: &(&'static str, Stage)| one.0 == name && (one.1 == stage || !place.stages_differ());
    match stage {
        // What has been rewritten or judged before the caller was known is not so again.
        Stage::Edge if before.contains(&(name, stage)) => Fate::Hidden,
        Stage::Rewrite if is_behind(stage, name) => Fate::Hidden,
        Stage::Authenticate => Fate::Hidden,
        Stage::Observe | Stage::Respond if before.iter().any(meets) => Fate::Replaces,
        _ => Fate::Joins,
    }
}

/// Lets a route's layer of the outer stages step aside for answers whose consumer has a block of the same plugin.
///
/// The layer has seen the request by then; the answer goes past it, as if it were not there.
pub(super) fn stepping_aside(layer: PluginLayer, name: &'static str) -> PluginLayer {
    PluginLayer::from_fn(move |next| {
        let inside = Next::from_call(move |mut request| {
            let past = request.extensions_mut().remove::<Past>();
            let answer = next.run(request);
            Box::pin(async move {
                let response = answer.await;
                let steps_aside =
                    response.extensions().get::<Aside>().is_some_and(|Aside(names)| names.contains(&name));
                match past.filter(|_| steps_aside).and_then(|Past(slot, aside)| Some((slot.take()?, aside))) {
                    Some((past, aside)) => {
                        // Nobody waits for the answer of this future any more once the other way is taken; the layer, which is
                        // dropped amid its work, is to know that this is no end of the exchange.
                        aside.step();
                        let _ = past.send(response);
                        std::future::pending().await
                    }
                    None => response,
                }
            })
        });
        let wrapped = layer.wrap(inside);
        Next::from_call(move |mut request| {
            let (sender, past) = oneshot::channel();
            let aside = SteppedAside::default();
            request.extensions_mut().insert(aside.clone());
            request.extensions_mut().insert(Past(Slot::new(sender), aside));
            let answer = wrapped.run(request);
            Box::pin(async move {
                let mut answer = answer;
                tokio::select! {
                    biased;
                    Ok(response) = past => response,
                    response = &mut answer => response,
                }
            })
        })
    })
}

/// Request extension: the way past a layer, and what tells the layer that it was taken.
#[derive(Clone)]
struct Past(Slot, SteppedAside);

/// What is taken once, behind a shared reference.
#[derive(Clone)]
struct Slot(Arc<std::sync::Mutex<Option<oneshot::Sender<Response>>>>);

impl Slot {
    fn new(sender: oneshot::Sender<Response>) -> Self {
        Self(Arc::new(std::sync::Mutex::new(Some(sender))))
    }

    fn take(&self) -> Option<oneshot::Sender<Response>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// One wired half, and which set of blocks it was wired for; held, so that no other one comes to lie in its place.
struct Half {
    blocks: Arc<dyn Any + Send + Sync>,
    next: Next,
}

/// Slots, of which those parts exist that were asked for: a route that no consumer with blocks of his own calls has none.
#[derive(Default)]
struct Halves(OnceLock<Table<Table<Table<ArcSwapOption<Half>>>>>);

const BITS: u32 = 7;

struct Table<T>(Box<[OnceLock<T>]>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self((0..1 << BITS).map(|_| OnceLock::new()).collect())
    }
}

impl<T: Default> Table<T> {
    fn at(&self, slot: u32, level: u32) -> Option<&T> {
        let index = slot >> (level * BITS) & ((1 << BITS) - 1);
        Some(self.0.get(index as usize)?.get_or_init(T::default))
    }
}

impl Halves {
    /// `None` above two million sets.
    fn slot(&self, slot: u32) -> Option<&ArcSwapOption<Half>> {
        if slot >> (3 * BITS) != 0 {
            return None;
        }
        self.0.get_or_init(Table::default).at(slot, 2)?.at(slot, 1)?.at(slot, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    fn mark(name: &'static str) -> PluginLayer {
        PluginLayer::new(tower::util::MapResponseLayer::new(move |mut response: Response| {
            response.headers_mut().append("x-seen", http::HeaderValue::from_static(name));
            response
        }))
    }

    async fn seen(chain: &Next) -> Vec<String> {
        let response = chain.run(Request::default()).await;
        let seen = response.headers().get_all("x-seen").iter();
        seen.map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_layer_steps_aside_when_the_answer_says_so() {
        let end = |aside: &'static [&'static str]| {
            Next::from_fn(move |_| async move {
                let mut response = Response::new(Body::empty());
                response.extensions_mut().insert(Aside(aside.into()));
                response
            })
        };
        let layers = [stepping_aside(mark("outer"), "outer"), mark("plain"), stepping_aside(mark("inner"), "inner")];
        for (aside, wanted) in [
            (&[][..], &["inner", "plain", "outer"][..]),
            (&["outer"], &["inner", "plain"]),
            (&["inner"], &["plain", "outer"]),
            (&["inner", "outer"], &["plain"]),
        ] {
            assert_eq!(seen(&wire(layers.iter(), end(aside))).await, wanted, "{aside:?}");
        }
    }

    #[tokio::test]
    async fn a_layer_that_stepped_aside_knows_it() {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        let layer = PluginLayer::from_fn(move |next| {
            let told = Arc::clone(&told);
            Next::from_fn(move |request: Request| {
                struct Ends(SteppedAside, Arc<std::sync::Mutex<Vec<bool>>>);
                impl Drop for Ends {
                    fn drop(&mut self) {
                        self.1.lock().unwrap().push(self.0.has_stepped());
                    }
                }
                let ends = Ends(request.extensions().get().cloned().unwrap(), Arc::clone(&told));
                let next = next.clone();
                async move {
                    let response = next.run(request).await;
                    drop(ends);
                    response
                }
            })
        });
        for aside in [&["log"][..], &[]] {
            let end = Next::from_fn(move |_| async move {
                let mut response = Response::new(Body::empty());
                response.extensions_mut().insert(Aside(aside.into()));
                response
            });
            stepping_aside(layer.clone(), "log").wrap(end).run(Request::default()).await;
        }
        let end = Next::from_fn(|_| std::future::pending());
        let mut waiting = stepping_aside(layer, "log").wrap(end).run(Request::default());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(*seen.lock().unwrap(), [true, false, false], "a client that goes away is an end");
    }

    #[test]
    fn where_stages_differ_only_a_block_of_the_same_one_takes_anothers_place() {
        let place = |stage| Place::plugin(stage, false, 0, "p").of_differing_stages(true);
        let stages = [Stage::Observe, Stage::Respond, Stage::Edge, Stage::Rewrite, Stage::Access, Stage::Forward];
        for (of_route, own) in stages.iter().flat_map(|one| stages.map(|other| (*one, other))) {
            let gone = gives_way(&place(of_route), Own::In(own));
            let (before, behind) = match of_route <= Stage::Authenticate {
                true => (vec![("p", of_route)], None),
                false => (Vec::new(), Some(of_route)),
            };
            let fate = fate(&place(own), &before, |stage, _| behind == Some(stage));
            let runs = (!gone, fate != Fate::Hidden);
            // exactly one where they meet, and both where they do not
            assert_eq!(runs.0 && runs.1, of_route != own, "{of_route:?} {own:?}: {runs:?}");
            assert!(runs.0 || runs.1, "{of_route:?} {own:?}");
        }
        assert!(gives_way(&place(Stage::Access), Own::Off) && !gives_way(&place(Stage::Access), Own::Nothing));
        let alike = Place::plugin(Stage::Access, false, 0, "p");
        assert!(gives_way(&alike, Own::In(Stage::Edge)), "the same thing, only earlier");
    }

    #[test]
    fn slots_are_apart() {
        let halves = Halves::default();
        for slot in [0, 1, 127, 128, 16_384, (1 << 21) - 1_u32] {
            let half = Half { blocks: Arc::new(slot), next: Next::from_fn(|_| async { Response::default() }) };
            halves.slot(slot).unwrap().store(Some(Arc::new(half)));
        }
        for slot in [0, 1, 127, 128, 16_384, (1 << 21) - 1_u32] {
            let half = halves.slot(slot).unwrap().load_full().unwrap();
            assert_eq!(half.blocks.downcast_ref::<u32>(), Some(&slot));
        }
        assert!(halves.slot(1 << 21).is_none());
    }
}
