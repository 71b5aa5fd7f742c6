//! `traffic-split`: sends shares of the requests to other upstreams than the route's.
//!
//! 1. The first rule that matches counts: one without `match` matches all, else one of its entries must hold. When none
//!    matches, the request goes where it went before.
//! 2. Of that rule's upstreams one is picked by weighted round robin: over a cycle (the sum of the weights, divided by
//!    their greatest common divisor) each gets exactly its share, spread evenly; from then on it starts over. A weight
//!    of 0 is never picked, nor looked up. An entry with neither `upstream` nor `upstream_id` is the route's own
//!    upstream.
//! 3. With `hash_key` the same key always goes to the same upstream, in every gateway that has this rule: the key's
//!    hash picks a place in the row of weights. Shares are then those of the keys, not of the requests. A request
//!    without a key takes its turn as in 2.
//!
//! One pick a request: retries stay inside the upstream that was picked, and its `pass_host` says the `Host`, unless
//! `proxy-rewrite` has a `host`. Where a cycle stands outlives reloads that leave the rule's weights as they are.
//! Weights whose cycle is longer than 65,536 are scaled down to that.
//!
//! Where `api-breaker` has its `fallback_upstream_id` answer, that one takes the place of what was picked: the upstreams of the
//! rules are to be left in peace.
//!
//! It stands before the caches, with a priority of 1086 where APISIX has 966, so that each upstream's answers are kept for those
//! alone for whom it was picked.
//!
//! Stage: access. Writes the request extension [`UpstreamChoice`]; outside of a gateway nobody reads it.
//!
//! Answers: 500 `failed to fetch upstream info by upstream id: <id>` (text) when an upstream that is not there is
//! picked.
//!
//! ```
//! use http::Request;
//! use tollgate::plugin::{Gate as _, UpstreamChoice};
//! use tollgate::plugins::traffic_split::{Split, TrafficSplit};
//! use tollgate::upstream::{Endpoints, NodeConfig, Target, UpstreamConfig, UpstreamKey, Upstreams};
//!
//! let nodes = vec![NodeConfig::new(Target::host("10.0.0.2", 80))];
//! let canary = UpstreamConfig::new(UpstreamKey::new("code", "canary"), nodes);
//! let canary = Upstreams::new().compile(canary, &Endpoints::default())?;
//! let split = TrafficSplit::of([Split::new().with_upstream(canary, 1).with_own(9)]);
//! let to_canary = (0..100).filter(|_| {
//!     let mut request = Request::new(());
//!     split.check(&mut request).is_ok() && request.extensions().get::<UpstreamChoice>().is_some()
//! });
//! assert_eq!(to_canary.count(), 10);
//! # Ok::<(), tollgate::upstream::UpstreamBuildError>(())
//! ```
//!
//! ```json
//! {"traffic-split": {"rules": [{
//!   "match": [{"vars": [["http_x_beta", "==", "1"]]}],
//!   "weighted_upstreams": [{"upstream": {"nodes": {"10.0.0.2:80": 1}}, "weight": 1}, {"weight": 9}]
//! }]}}
//! ```
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::condition::{AnyOf, expression};
use crate::model::{Id, UpstreamSpec};
use crate::plugin::{
    BuildContext, Caveat, ChoiceStands, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage, UpstreamChoice,
};
use crate::request::{RequestVars, Template};
use crate::router::{Expr, Variables};
use crate::upstream::Upstream;
use crate::upstream::balance::RoundRobin;
use crate::{PluginLayer, Response, reject_text};

/// Options of `traffic-split`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrafficSplitConfig {
    /// The rules, in order; the first that matches counts. Default: none.
    pub rules: Vec<SplitRule>,
}

/// One rule of `traffic-split`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SplitRule {
    /// When the rule matches: one of these. Default: always.
    #[serde(rename = "match")]
    pub conditions: Vec<SplitMatch>,
    /// Where to: 1–20 entries. Default: one, the route's own upstream.
    pub weighted_upstreams: Vec<WeightedUpstream>,
    /// **Extension.** What to be sticky by: the name of a variable, such as `consumer_name`, or a template with `$` in
    /// it. Default: none, requests take turns.
    pub hash_key: Option<String>,
}

impl Default for SplitRule {
    fn default() -> Self {
        Self { conditions: Vec::new(), weighted_upstreams: vec![WeightedUpstream::default()], hash_key: None }
    }
}

/// One condition of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SplitMatch {
    /// An expression, such as `[["arg_v", "==", "2"]]`; all of its comparisons must hold. Default: holds always.
    pub vars: Option<Value>,
}

/// One upstream of a rule. At most one of `upstream_id` and `upstream`; with neither, the route's own upstream.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WeightedUpstream {
    /// The id of an upstream. Default: none.
    pub upstream_id: Option<Id>,
    /// A whole upstream, with every field that upstreams have (docs/configuration.md). Default: none.
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Map<String, Value>>"))]
    pub upstream: Option<Box<UpstreamSpec>>,
    /// Its share: a count of turns in each cycle; 0 for none. Default 1.
    pub weight: u32,
}

impl Default for WeightedUpstream {
    fn default() -> Self {
        Self { upstream_id: None, upstream: None, weight: 1 }
    }
}

/// Splits traffic.
#[derive(Debug)]
pub struct TrafficSplit {
    rules: Box<[Split]>,
}

/// One compiled rule.
#[derive(Debug)]
pub struct Split {
    when: AnyOf,
    key: Option<Template>,
    places: Vec<Place>,
    /// One for each place; none is 0.
    weights: Vec<u32>,
    turns: Arc<RoundRobin>,
}

/// Where a request can go.
#[derive(Debug)]
enum Place {
    Own,
    Upstream(UpstreamChoice),
    Missing(Id),
}

/// [`TrafficSplit`] before a service.
pub type TrafficSplitLayer = GateLayer<TrafficSplit>;

impl Default for Split {
    fn default() -> Self {
        Self {
            when: AnyOf::default(),
            key: None,
            places: Vec::new(),
            weights: Vec::new(),
            turns: Arc::new(RoundRobin::new(&[])),
        }
    }
}

impl Split {
    /// A rule that matches always and leads nowhere yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the rule match only when one of the expressions holds.
    #[must_use]
    pub fn when(mut self, expressions: impl IntoIterator<Item = Expr>) -> Self {
        self.when = AnyOf::new(expressions.into_iter().collect());
        self
    }

    /// Keeps requests with equal keys together (`hash_key`).
    #[must_use]
    pub fn with_key(mut self, key: Template) -> Self {
        self.key = Some(key);
        self
    }

    /// Adds an upstream.
    #[must_use]
    pub fn with_upstream(mut self, upstream: Arc<Upstream>, weight: u32) -> Self {
        self.add(Place::Upstream(UpstreamChoice(upstream)), weight);
        self
    }

    /// Adds the route's own upstream.
    #[must_use]
    pub fn with_own(mut self, weight: u32) -> Self {
        self.add(Place::Own, weight);
        self
    }

    fn add(&mut self, place: Place, weight: u32) {
        if weight > 0 {
            self.places.push(place);
            self.weights.push(weight);
        }
    }

    fn pick(&self, variables: &dyn Variables) -> Option<&Place> {
        let index = match self.key.as_ref().and_then(|key| hash(key, variables)) {
            Some(hash) => self.place_of(hash),
            None => self.turns.turn(),
        };
        self.places.get(index?)
    }

    /// The place of a hash in the row of weights.
    fn place_of(&self, hash: u64) -> Option<usize> {
        let total: u64 = self.weights.iter().copied().map(u64::from).sum();
        // Upper half of the product: evenly below `total`.
        let mut at = u64::try_from((u128::from(hash) * u128::from(total)) >> 64).ok()?;
        self.weights.iter().copied().map(u64::from).position(|weight| match at.checked_sub(weight) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        })
    }
}

/// The hash of a request's key; `None` when none of the key's variables is there. The same in every process.
fn hash(key: &Template, variables: &dyn Variables) -> Option<u64> {
    let rendered = key.render(variables);
    if rendered.resolved == 0 {
        return None;
    }
    let digest = blake3::hash(&rendered.text);
    digest.as_bytes().first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

impl TrafficSplit {
    /// A split by rules made in code, in order.
    pub fn of(rules: impl IntoIterator<Item = Split>) -> Self {
        let started = |mut rule: Split| {
            rule.turns = Arc::new(RoundRobin::new(&rule.weights));
            rule
        };
        Self { rules: rules.into_iter().map(started).collect() }
    }

    /// Compiles the options; upstreams are looked up and built by `cx`.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: TrafficSplitConfig, cx: &BuildContext<'_>) -> Result<Self, ConfigError> {
        compile(config, cx).map(Self::of)
    }

    fn place(&self, variables: &dyn Variables) -> Option<&Place> {
        self.rules.iter().find(|rule| rule.when.holds(variables))?.pick(variables)
    }
}

impl Gate for TrafficSplit {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        if request.extensions().get::<ChoiceStands>().is_some() {
            return Ok(());
        }
        match self.place(&RequestVars::of(request)) {
            None => {}
            Some(Place::Own) => {
                request.extensions_mut().remove::<UpstreamChoice>();
            }
            Some(Place::Upstream(choice)) => {
                request.extensions_mut().insert(choice.clone());
            }
            Some(Place::Missing(id)) => {
                let text = format!("failed to fetch upstream info by upstream id: {id}");
                return Err(reject_text(StatusCode::INTERNAL_SERVER_ERROR, TrafficSplitPlugin::NAME, text));
            }
        }
        Ok(())
    }
}

fn compile(config: TrafficSplitConfig, cx: &BuildContext<'_>) -> Result<Vec<Split>, ConfigError> {
    let rule = |(index, rule)| compile_rule(&format!("rules.{index}"), rule, cx);
    config.rules.into_iter().enumerate().map(rule).collect()
}

fn compile_rule(at: &str, rule: SplitRule, cx: &BuildContext<'_>) -> Result<Split, ConfigError> {
    let plugin = TrafficSplitPlugin::NAME;
    if !(1..=20).contains(&rule.weighted_upstreams.len()) {
        return Err(ConfigError::invalid(plugin, format!("{at}.weighted_upstreams"), "has 1 to 20 entries"));
    }
    // An entry without an expression holds always, and then so does the rule.
    let conditional = rule.conditions.iter().all(|condition| condition.vars.is_some());
    let conditions = rule.conditions.iter().enumerate().filter_map(|(index, condition)| {
        let vars = condition.vars.as_ref()?;
        Some(expression(plugin, &format!("{at}.match.{index}.vars"), vars))
    });
    let conditions: Vec<_> = conditions.collect::<Result<_, _>>()?;
    let mut split = Split::new().when(if conditional { conditions } else { Vec::new() });
    if let Some(key) = rule.hash_key {
        let template = if key.contains('$') { key } else { format!("${{{key}}}") };
        let fault = |reason: String| ConfigError::invalid(plugin, format!("{at}.hash_key"), reason);
        split.key = Some(Template::parse(&template).map_err(|error| fault(error.to_string()))?);
    }
    for (index, entry) in rule.weighted_upstreams.into_iter().enumerate() {
        let at = format!("{at}.weighted_upstreams.{index}");
        let place = match (entry.upstream_id, entry.upstream) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::invalid(plugin, at, "write either `upstream_id` or `upstream`"));
            }
            // What is never picked is not looked up, so that it may be gone.
            _ if entry.weight == 0 => continue,
            (None, None) => Place::Own,
            (Some(id), None) => match cx.upstream_by_id(&id) {
                Some(upstream) => Place::Upstream(UpstreamChoice(upstream)),
                None => Place::Missing(id),
            },
            (None, Some(spec)) => {
                Place::Upstream(UpstreamChoice(cx.upstream(plugin, &format!("{at}.upstream"), &spec)?))
            }
        };
        split.add(place, entry.weight);
    }
    Ok(split)
}

/// Registry entry of `traffic-split`. Keeps where the cycles stand.
#[derive(Debug, Default)]
pub struct TrafficSplitPlugin {
    cycles: Mutex<Cycles>,
}

/// The running cycles, by scope, place of the rule and weights.
#[derive(Debug, Default)]
struct Cycles {
    running: HashMap<(String, usize, Vec<u32>), Weak<RoundRobin>>,
    /// When there are so many, those that ended are forgotten.
    clean_at: usize,
}

impl Cycles {
    fn resume(&mut self, scope: &str, index: usize, weights: &[u32]) -> Arc<RoundRobin> {
        if self.running.len() >= self.clean_at {
            self.running.retain(|_, cycle| cycle.strong_count() > 0);
            self.clean_at = 2 * self.running.len() + 64;
        }
        let cycle = self.running.entry((scope.to_owned(), index, weights.to_vec())).or_default();
        cycle.upgrade().unwrap_or_else(|| {
            let new = Arc::new(RoundRobin::new(weights));
            *cycle = Arc::downgrade(&new);
            new
        })
    }
}

impl Plugin for TrafficSplitPlugin {
    const NAME: &'static str = "traffic-split";
    const STAGE: Stage = Stage::Access;
    // Above caches, which are to know what the request is meant for; the catalogue has 966.
    const PRIORITY: i32 = 1086;
    const SECRET_FIELDS: &'static [&'static str] = &[
        "rules.*.weighted_upstreams.*.upstream.tls.client_key",
        "rules.*.weighted_upstreams.*.upstream.affinity.secret",
    ];
    type Config = TrafficSplitConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<TrafficSplitConfig>()
    }

    fn build(&self, config: TrafficSplitConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let mut rules = compile(config, cx)?;
        let scope = cx.scope().path();
        let mut cycles = self.cycles.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.turns = cycles.resume(&scope, index, &rule.weights);
        }
        Ok(GateLayer::of(TrafficSplit { rules: rules.into() }).into())
    }

    fn caveats(&self, config: &TrafficSplitConfig) -> Vec<Caveat> {
        let always = |rule: &SplitRule| {
            rule.conditions.is_empty() || rule.conditions.iter().any(|condition| condition.vars.is_none())
        };
        let behind = config.rules.iter().position(always).map_or(config.rules.len(), |index| index + 1);
        let hidden = (behind..config.rules.len()).map(|index| {
            let message = "is never reached: a rule before it matches every request";
            Caveat::new(format!("rules.{index}"), message, "move it before that rule, or remove it")
        });
        let idle = config
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.weighted_upstreams.iter().all(|entry| entry.weight == 0));
        let idle = idle.map(|(index, _)| {
            let message = "has no weight above 0: its requests go to the route's own upstream";
            Caveat::new(format!("rules.{index}.weighted_upstreams"), message, "give one a weight, or remove the rule")
        });
        hidden.chain(idle).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::plugin::{Scope, shape};
    use crate::upstream::{Endpoints, UpstreamConfig, UpstreamKey, Upstreams};

    fn upstream(id: &str) -> Arc<Upstream> {
        let config = UpstreamConfig::new(UpstreamKey::new("test", id), Vec::new());
        Upstreams::new().compile(config, &Endpoints::default()).unwrap()
    }

    fn split(rules: Value) -> Result<TrafficSplit, ConfigError> {
        let block = json!({ "rules": rules });
        let config = shape(TrafficSplitPlugin::NAME, block.as_object().unwrap())?;
        TrafficSplit::new(config, &BuildContext::new(&Scope::Code))
    }

    /// Where a request goes: an upstream, `own` or `text` of a rejection.
    fn goes(split: &TrafficSplit, target: &str) -> String {
        let mut request = Request::builder().uri(target).body(()).unwrap();
        match split.check(&mut request) {
            Ok(()) => request
                .extensions()
                .get::<UpstreamChoice>()
                .map_or("own".to_owned(), |choice| choice.0.config().key.as_str().to_owned()),
            Err(response) => format!("{} {}", response.status().as_u16(), {
                String::from_utf8_lossy(response.body().as_bytes().unwrap())
            }),
        }
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let missing = |id: &str| json!([{"upstream_id": id}]);
        let split = split(json!([
            {"match": [{"vars": [["arg_a", "==", "1"], ["arg_b", "==", "1"]]}], "weighted_upstreams": missing("both")},
            {
                "match": [{"vars": [["arg_a", "==", "1"]]}, {"vars": [["arg_b", "==", "1"]]}],
                "weighted_upstreams": missing("either"),
            },
            {"match": [{"vars": [["arg_c", "==", "1"]]}, {}], "weighted_upstreams": missing("rest")},
        ]))
        .unwrap();
        let at = |id| format!("500 failed to fetch upstream info by upstream id: {id}");
        for (target, id) in [("/?a=1&b=1", "both"), ("/?a=1", "either"), ("/?b=1", "either"), ("/", "rest")] {
            assert_eq!(goes(&split, target), at(id), "{target}");
        }
    }

    #[test]
    fn no_rule_and_no_weight_leave_the_request_alone() {
        for rules in [
            json!([]),
            json!([{}]),
            json!([{"match": [{"vars": [["arg_a", "==", "1"]]}], "weighted_upstreams": [{"upstream_id": "gone"}]}]),
            json!([{"weighted_upstreams": [{"upstream_id": "gone", "weight": 0}, {"weight": 1}]}]),
            json!([{"weighted_upstreams": [{"upstream_id": "gone", "weight": 0}]}]),
            json!([{"weighted_upstreams": [{"upstream": {"nodes": {"a:1": 1}}, "weight": 0}]}]),
        ] {
            assert_eq!(goes(&split(rules.clone()).unwrap(), "/"), "own", "{rules}");
        }
    }

    #[test]
    fn the_routes_own_upstream_undoes_an_outer_choice() {
        let split = TrafficSplit::of([Split::new().with_own(1)]);
        let mut request = Request::new(());
        request.extensions_mut().insert(UpstreamChoice(upstream("outer")));
        split.check(&mut request).unwrap();
        assert!(request.extensions().get::<UpstreamChoice>().is_none());
    }

    #[test]
    fn a_key_sticks_and_a_growing_share_keeps_its_keys() {
        let beta = |share| {
            let key = Template::parse("$http_x_user$arg_u").unwrap();
            TrafficSplit::of([Split::new().with_own(100 - share).with_upstream(upstream("beta"), share).with_key(key)])
        };
        let (ten, thirty) = (beta(10), beta(30));
        let targets: Vec<_> = (0..1000).map(|user| format!("/?u={user}")).collect();
        let keys = |split: &TrafficSplit| -> Vec<_> { targets.iter().map(|target| goes(split, target)).collect() };
        assert_eq!(keys(&ten), keys(&ten));
        let (few, more) = (keys(&ten), keys(&thirty));
        let count = |list: &[String]| list.iter().filter(|to| *to != "own").count();
        // The hash is fixed, so are these: near 10 % and 30 % of the keys.
        assert!((70..130).contains(&count(&few)) && (250..350).contains(&count(&more)));
        assert!(few.iter().zip(&more).all(|(few, more)| few == "own" || more != "own"));
        // Without a key requests take turns.
        assert_eq!((0..100).filter(|_| goes(&ten, "/") != "own").count(), 10);
    }

    #[test]
    fn rules_without_effect_are_warned_of() {
        let block = json!({"rules": [
            {"match": [{"vars": [["arg_a", "==", "1"]]}], "weighted_upstreams": [{"weight": 0}]},
            {"match": [{}, {"vars": [["arg_a", "==", "1"]]}]},
            {},
        ]});
        let config = shape(TrafficSplitPlugin::NAME, block.as_object().unwrap()).unwrap();
        let fields: Vec<_> = TrafficSplitPlugin::default().caveats(&config).into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["rules.2", "rules.0.weighted_upstreams"]);
    }

    #[test]
    fn cycles_outlive_a_rebuilt_block() {
        let mut cycles = Cycles::default();
        let first = cycles.resume("routes/1", 0, &[1, 9]);
        assert!(Arc::ptr_eq(&first, &cycles.resume("routes/1", 0, &[1, 9])));
        for (scope, index, weights) in [("routes/2", 0, [1, 9]), ("routes/1", 1, [1, 9]), ("routes/1", 0, [2, 8])] {
            assert!(!Arc::ptr_eq(&first, &cycles.resume(scope, index, &weights)));
        }
        drop(first);
        (0..1000).for_each(|index| drop(cycles.resume("routes/3", index, &[1])));
        assert!(cycles.running.len() < 200, "ended cycles are forgotten");
    }

    #[test]
    fn faults_name_their_field() {
        for (rules, field, says) in [
            (json!([{"weighted_upstreams": []}]), "rules.0.weighted_upstreams", "1 to 20"),
            (json!([{"weighted_upstreams": vec![json!({}); 21]}]), "rules.0.weighted_upstreams", "1 to 20"),
            (
                json!([{}, {"weighted_upstreams": [{"upstream_id": 1, "upstream": {"nodes": {}}}]}]),
                "rules.1.weighted_upstreams.0",
                "either `upstream_id` or `upstream`",
            ),
            (json!([{"weighted_upstreams": [{"weight": -1}]}]), "rules.0.weighted_upstreams.0.weight", "expected u32"),
            (
                json!([{"weighted_upstreams": [{"upstream": {"nodes": {"a:1": 1}}}]}]),
                "rules.0.weighted_upstreams.0.upstream",
                "gateway",
            ),
            (
                json!([{"match": [{"vars": ["a", "==", "1"]}]}]),
                "rules.0.match.0.vars",
                "failed to validate the 'vars' expression: ",
            ),
            (json!([{"hash_key": "${x"}]), "rules.0.hash_key", "closing"),
            (json!([{"sticky": true}]), "rules.0.sticky", "unknown field"),
        ] {
            let error = split(rules.clone()).unwrap_err();
            assert_eq!(error.field(), field, "{rules}");
            assert!(error.to_string().contains(says), "{rules}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn shares_are_exact_over_each_cycle(
            weights in proptest::collection::vec(0u32..=40, 1..=20),
            cycles in 1usize..4,
        ) {
            let mut rule = Split::new();
            for (index, weight) in weights.iter().enumerate() {
                rule = rule.with_upstream(upstream(&index.to_string()), *weight);
            }
            let split = TrafficSplit::of([rule]);
            let gcd = |mut a: u32, mut b: u32| { while b > 0 { (a, b) = (b, a % b); } a };
            let divisor = weights.iter().copied().fold(0, gcd).max(1);
            let cycle = (weights.iter().sum::<u32>() / divisor) as usize;
            let mut counts = vec![0; weights.len()];
            // Several threads take turns at once; however they interleave, whole cycles are exact.
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..cycles)
                    .map(|_| scope.spawn(|| (0..cycle).map(|_| goes(&split, "/")).collect::<Vec<_>>()))
                    .collect();
                for thread in threads {
                    for to in thread.join().unwrap() {
                        if let Some(index) = to.strip_prefix("test/") {
                            counts[index.parse::<usize>().unwrap()] += 1;
                        }
                    }
                }
            });
            let wanted: Vec<_> = weights.iter().map(|weight| (weight / divisor) as usize * cycles).collect();
            prop_assert_eq!(counts, wanted);
        }
    }
}
