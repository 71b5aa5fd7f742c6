//! The table of routes: what changes in it, and each route's match part and chain.
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::blocks::Blocks;
use super::chain::{Block, Place};
use super::compile::{Compile, global_blocks, unavailable};
use super::difference::{difference, same};
use super::idle;
use super::route::{Chain, Forward, Route};
use super::upstreams;
use crate::PluginLayer;
use crate::model::{Blocked, Finding, Id, Kind, MatchPart, RouteSpec, Snapshot, Status};
use crate::request::{Asked, RouteInfo};
use crate::router::{Expr, Router, Rule, RuleError};

/// Room between the order numbers of two neighbours, so that a route put between them needs no renumbering.
const GAP: u64 = 1 << 40;
/// The most room between two routes that are put next to each other: ids that ascend, or descend, leave room for a million
/// of their kind.
const STEP: u64 = 1 << 20;
/// Order number of the first configured route; routes in code stand before it.
const FIRST: u64 = 1 << 40;

/// A compiled route with what it was made of.
pub(super) struct Built {
    pub(super) blocks: Arc<Blocks>,
    pub(super) order: u64,
}

/// Changes of the table of routes; `None` removes.
pub(super) type Applied = Vec<(Id, Option<Built>)>;

/// What is to happen to one route of the router.
pub(super) struct Change {
    id: Id,
    built: Option<(Built, Rule<Arc<Route>>)>,
}

impl Compile<'_> {
    /// What changes among the routes, or `None` when everything is better built anew.
    pub(super) fn route_changes(&mut self, routes: &[Arc<RouteSpec>]) -> Option<Vec<Change>> {
        let (old, new) = difference(&self.before.snapshot.routes, routes);
        let mut changes = Vec::new();
        let fresh: HashSet<&Id> = routes.get(new.clone())?.iter().map(|spec| &spec.id).collect();
        for gone in self.before.snapshot.routes.get(old)? {
            if !fresh.contains(&gone.id) {
                changes.push(Change { id: gone.id.clone(), built: None });
            }
        }
        let rebuilt = self.rebuilt(routes, &new)?;
        for run in runs(&rebuilt, new.start) {
            let mut order = self.free_orders(routes, &run, &|index| is_set(&rebuilt, &new, index))?;
            for spec in routes.get(run)? {
                let number = order.next()?;
                let built = self.route(spec, number, &[]);
                changes.push(Change { id: spec.id.clone(), built });
            }
        }
        // Routes that are the same themselves but lean on something that is not.
        let leaning = !self.upstreams.changes.is_empty()
            || !self.protos.is_empty()
            || !self.services.changes.is_empty()
            || !self.plugin_configs.changes.is_empty();
        if leaning {
            let kept = |(index, _): &(usize, _)| !is_set(&rebuilt, &new, *index);
            let outside = routes.iter().enumerate().filter(kept).map(|(_, spec)| spec);
            for spec in outside {
                if self.upstreams.touches(spec.upstream_id.as_ref())
                    || self.services.touches(spec.service_id.as_ref())
                    || self.plugin_configs.touches(spec.plugin_config_id.as_ref())
                    || self.leans(&spec.id)
                {
                    let number = self.before.routes.get(&spec.id).map(|built| built.order);
                    if let Some(number) = number {
                        let built = self.route(spec, number, &[]);
                        changes.push(Change { id: spec.id.clone(), built });
                    }
                }
            }
            // Routes in code may name a resource of the configuration.
            for (position, code) in self.kit.code_routes.iter().enumerate() {
                if self.upstreams.touches(code.spec.upstream_id.as_ref())
                    || self.services.touches(code.spec.service_id.as_ref())
                    || self.plugin_configs.touches(code.spec.plugin_config_id.as_ref())
                    || self.leans(&code.spec.id)
                {
                    let built = self.route(&code.spec, position as u64 + 1, &code.layers);
                    changes.push(Change { id: code.spec.id.clone(), built });
                }
            }
        }
        Some(changes)
    }

    /// Whether a block of a route asked for an item that differs.
    fn leans(&self, route: &Id) -> bool {
        let built = self.before.routes.get(route);
        built.is_some_and(|built| built.blocks.leans_on(&|kind, id| self.touches(kind, id)))
    }

    /// Which of the routes at `range` are built anew: those that differ from before. All of them if the others stand in
    /// another order than before.
    fn rebuilt(&self, routes: &[Arc<RouteSpec>], range: &Range<usize>) -> Option<Vec<bool>> {
        let new = routes.get(range.clone())?;
        // Of long lists one change is the rule, which needs no table.
        if new.len() <= 1 {
            return Some(vec![true; new.len()]);
        }
        let was: HashMap<&Id, &Arc<RouteSpec>> =
            self.before.snapshot.routes.iter().map(|spec| (&spec.id, spec)).collect();
        let differs = |spec: &Arc<RouteSpec>| was.get(&spec.id).is_none_or(|was| !same(was, spec));
        let rebuilt: Vec<bool> = new.iter().map(differs).collect();
        let kept = new.iter().zip(&rebuilt).filter(|(_, rebuilt)| !**rebuilt);
        let ascend = kept.filter_map(|(spec, _)| self.order_of(&spec.id)).is_sorted();
        Some(if ascend { rebuilt } else { vec![true; new.len()] })
    }

    /// Order numbers for the new routes at `range`, between those of their neighbours that are not `rebuilt`; `None` when
    /// there is no room.
    fn free_orders(
        &self,
        routes: &[Arc<RouteSpec>],
        range: &Range<usize>,
        rebuilt: &dyn Fn(usize) -> bool,
    ) -> Option<impl Iterator<Item = u64> + use<>> {
        let number =
            |index: usize| routes.get(index).filter(|_| !rebuilt(index)).and_then(|spec| self.order_of(&spec.id));
        // Disabled routes have no number: the next neighbour outwards that has one counts.
        let below = (0..range.start).rev().find_map(number);
        let count = range.len() as u64;
        let low = below.unwrap_or(FIRST);
        let above = (range.end..routes.len()).find_map(number);
        let high = match above {
            Some(high) => high,
            None => low.checked_add(GAP.checked_mul(count + 1)?)?,
        };
        let room = high.checked_sub(low)? / (count + 1);
        // Beside a neighbour, and with most of the room on the other side of it.
        let step = if below.is_some() || above.is_some() { room.min(STEP) } else { room };
        let first = if below.is_some() { low + step } else { high - step * count };
        (step > 0 || count == 0).then(|| (0..count).map(move |index| first + step * index))
    }

    fn order_of(&self, id: &Id) -> Option<u64> {
        self.before.routes.get(id).map(|built| built.order)
    }

    /// Applies changes to the clone of the router.
    pub(super) fn edit(&mut self, router: &mut Router<Arc<Route>>, changes: Vec<Change>) -> Applied {
        let mut applied = Vec::with_capacity(changes.len());
        for Change { id, built } in changes {
            router.remove(id.as_str());
            let built = match built {
                None => None,
                Some((built, rule)) => {
                    if let Err(error) = router.insert(rule) {
                        self.findings.extend(rule_faults(&error));
                    }
                    Some(built)
                }
            };
            applied.push((id, built));
        }
        applied
    }

    /// Builds every route.
    pub(super) fn all_routes(&mut self, snapshot: &Snapshot) -> (Applied, Router<Arc<Route>>) {
        let mut table = Vec::with_capacity(snapshot.routes.len());
        let mut rules = Vec::with_capacity(snapshot.routes.len());
        let mut keep = |id: &Id, made: Option<(Built, Rule<Arc<Route>>)>| {
            if let Some((built, rule)) = made {
                table.push((id.clone(), Some(built)));
                rules.push(rule);
            }
        };
        for (position, code) in self.kit.code_routes.iter().enumerate() {
            let made = self.route(&code.spec, position as u64 + 1, &code.layers);
            keep(&code.spec.id, made);
        }
        for (position, spec) in snapshot.routes.iter().enumerate() {
            let made = self.route(spec, FIRST + GAP * (position as u64 + 1), &[]);
            keep(&spec.id, made);
        }
        let (mut router, faults) = Router::from_rules(self.rules.router, rules);
        self.findings.extend(faults.iter().flat_map(rule_faults));
        for (number, blocked) in snapshot.blocked_of(Kind::Route).enumerate() {
            for rule in self.blocked(number, blocked) {
                // A pattern that is itself the fault matches nothing.
                let _ = router.insert(rule);
            }
        }
        (table, router)
    }

    /// Compiles one route; `None` when it is disabled or faulty (then there is a finding).
    fn route(&mut self, spec: &RouteSpec, order: u64, layers: &[PluginLayer]) -> Option<(Built, Rule<Arc<Route>>)> {
        if spec.status == Status::Disabled {
            return None;
        }
        let service = match &spec.service_id {
            None => None,
            Some(id) => Some(self.services.get(&self.before.services, id)),
        };
        let plugin_config = match &spec.plugin_config_id {
            None => None,
            Some(id) => Some(self.plugin_configs.get(&self.before.plugin_configs, id)),
        };
        let kept = self.before.routes.get(&spec.id).map(|built| Arc::clone(&built.blocks));
        let blocks = self.blocks(spec.plugins.as_ref(), (Kind::Route, &spec.id), kept.as_deref());
        let own = self.target(spec.upstream_id.as_ref(), spec.upstream.as_deref(), (Kind::Route, &spec.id));
        let known_service = service.as_ref().and_then(|service| service.as_ref());
        let target = match (&service, &plugin_config) {
            (Some(None), _) => Err(unavailable(404, "service_missing")),
            (_, Some(None)) => Err(unavailable(503, "plugin_config_missing")),
            _ => own
                .or_else(|| known_service.and_then(|service| service.target.clone()))
                .unwrap_or_else(|| Err(unavailable(503, "upstream_undefined"))),
        };
        // A route whose plugins are not all known must not run with the rest of them.
        let broken = matches!(service, Some(None)) || matches!(plugin_config, Some(None));
        let mut chain = global_blocks(&self.globals);
        if !broken {
            let levels = [
                Some(&*blocks),
                plugin_config.as_ref().and_then(|config| config.as_deref()),
                known_service.map(|service| &*service.blocks),
            ];
            let own = Blocks::merge(levels.into_iter().flatten());
            chain.retain(|global| !global.yields || !own.iter().any(|block| block.place.name() == global.place.name()));
            chain.extend(own);
        }
        chain.extend(layers.iter().enumerate().map(|(written, layer)| Block {
            place: Place::code(written),
            layer: layer.clone(),
            yields: false,
            sets_body_limit: false,
        }));
        let websocket = spec
            .enable_websocket
            .or_else(|| known_service.and_then(|service| service.spec.enable_websocket))
            .unwrap_or(false);
        let chain = if broken { Chain::straight(chain) } else { Chain::new(chain) };
        let describes = !chain.is_empty() || target.as_ref().is_ok_and(|upstream| upstream.calls_services());
        let forward = Forward { target, timeouts: spec.timeout.as_ref().map(upstreams::timeouts), websocket };
        let route = Route {
            info: Arc::new(RouteInfo {
                id: spec.id.to_shared(),
                name: spec.name.as_deref().map(Arc::from),
                service: known_service
                    .map(|service| (service.spec.id.to_shared(), service.spec.name.as_deref().map(Arc::from))),
            }),
            describes,
            chain,
            forward: Arc::new(forward),
            encoded_slash: spec.encoded_slash,
        };
        let inherited = known_service.map_or(&[][..], |service| &service.spec.hosts);
        let rule = self.rule(spec, inherited, order, Arc::new(route))?;
        Some((Built { blocks, order }, rule))
    }

    /// The match part of a route.
    fn rule(
        &mut self,
        spec: &RouteSpec,
        inherited: &[crate::model::Host],
        order: u64,
        value: Arc<Route>,
    ) -> Option<Rule<Arc<Route>>> {
        let mut fault = |field: &str, message: String, mend: &str| {
            self.findings.push(Finding::error(Kind::Route, Some(spec.id.clone()), field, message).with_mend(mend));
        };
        let vars = match spec.vars.as_ref().map(Expr::compile) {
            None => None,
            Some(Ok(expr)) => Some(expr),
            Some(Err(error)) => {
                fault("vars", error.to_string(), "write an array of [variable, operator, value]");
                return None;
            }
        };
        let predicate = match &spec.filter_func {
            None => None,
            Some(name) => match self.kit.predicates.get(name) {
                Some(predicate) => Some(predicate.clone()),
                None => {
                    fault(
                        "filter_func",
                        format!("no predicate `{name}` is registered"),
                        "register it in code with `GatewayBuilder::predicate`",
                    );
                    return None;
                }
            },
        };
        if let Some(expr) = &vars {
            let (custom, owner) = (&self.kit.custom_vars, (Kind::Route, &spec.id));
            self.findings.extend(idle::variables(expr, custom, Asked::Routing, owner, "vars"));
        }
        let mut hosts: Vec<Arc<str>> = spec.own_hosts().map(|host| host.to_shared()).collect();
        if hosts.is_empty() {
            hosts = inherited.iter().map(|host| host.to_shared()).collect();
        }
        Some(Rule {
            id: spec.id.to_shared(),
            order,
            uris: spec.uri.iter().chain(&spec.uris).cloned().collect(),
            hosts,
            methods: spec.methods.iter().map(|method| token(*method)).collect(),
            remote_addrs: spec.clients().map(|client| client.network()).collect(),
            vars,
            predicate,
            priority: spec.priority,
            value,
        })
    }

    /// A left-out route keeps matching and answers 503, so that nothing falls through to a broader one (CFG-02). One
    /// rule for each pair of path and host, as any of them may be at fault. `number` tells left-out routes apart, whose
    /// ids may be those of others.
    fn blocked(&self, number: usize, blocked: &Blocked) -> Vec<Rule<Arc<Route>>> {
        let MatchPart { hosts, uris, methods, service_id, remote_addrs, vars, filter_func, priority } =
            &blocked.match_part;
        let service = service_id.as_ref().and_then(|id| self.services.get(&self.before.services, id));
        let hosts =
            if hosts.is_empty() { service.as_ref().map_or(&[][..], |service| &service.spec.hosts) } else { hosts };
        let (number, position) = (number as u64, blocked.behind as u64);
        let id: Arc<str> = match &blocked.id {
            Some(id) => id.to_shared(),
            None => format!("arr_{}", blocked.index.unwrap_or(0) + 1).into(),
        };
        let chain = Chain::straight(global_blocks(&self.globals));
        let route = Arc::new(Route {
            info: Arc::new(RouteInfo { id: Arc::clone(&id), name: None, service: None }),
            describes: !chain.is_empty(),
            chain,
            forward: Arc::new(Forward {
                target: Err(unavailable(503, "route_invalid")),
                timeouts: None,
                websocket: false,
            }),
            encoded_slash: None,
        });
        let hosts: Vec<_> = match hosts {
            [] => vec![None],
            hosts => hosts.iter().map(Some).collect(),
        };
        let pairs = uris.iter().flat_map(|uri| hosts.iter().map(move |host| (uri, *host)));
        pairs
            .enumerate()
            .map(|(pair, (uri, host))| Rule {
                id: format!("{id} (left out {number}.{pair})").into(),
                order: FIRST + GAP * (position + 1) - GAP / 2 + number,
                uris: vec![Arc::clone(uri)],
                hosts: host.iter().map(|host| host.to_shared()).collect(),
                methods: methods.iter().map(|method| token(*method)).collect(),
                remote_addrs: remote_addrs.iter().map(|client| client.network()).collect(),
                // What cannot be compiled does not narrow the match: it fails closed.
                vars: vars.as_ref().and_then(|vars| Expr::compile(vars).ok()),
                predicate: filter_func.as_ref().and_then(|name| self.kit.predicates.get(name).cloned()),
                priority: *priority,
                value: Arc::clone(&route),
            })
            .collect()
    }
}

/// The findings of a match part that the router refused.
fn rule_faults(error: &RuleError) -> impl Iterator<Item = Finding> {
    let id = Id::from(&*error.id);
    error.faults.iter().map(move |fault| {
        let text = fault.to_string();
        let (field, message) = text.split_once(": ").unwrap_or(("", &text));
        Finding::error(Kind::Route, Some(id.clone()), field, message)
    })
}

/// The method as requests carry it.
fn token(method: crate::model::Method) -> http::Method {
    http::Method::from_bytes(method.as_str().as_bytes()).unwrap_or_default()
}

/// Whether the route at `index` is in `range` and set there.
fn is_set(flags: &[bool], range: &Range<usize>, index: usize) -> bool {
    index.checked_sub(range.start).and_then(|offset| flags.get(offset)).copied().unwrap_or(false)
}

/// The longest runs of set flags, as places behind `start`.
fn runs(flags: &[bool], start: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (offset, _) in flags.iter().enumerate().filter(|(_, set)| **set) {
        let at = start + offset;
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_apart() {
        assert_eq!(runs(&[true, true, false, true], 10), [10..12, 13..14]);
        assert!(runs(&[false], 0).is_empty());
    }
}
