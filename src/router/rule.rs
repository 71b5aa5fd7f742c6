//! Rules as they are given to a router, and the entries that they become: one for each pair of path and host.
use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use super::host::{HostPattern, HostPatternFault};
use super::pattern::{Parsed, Pattern, PatternFault, Step, places};
use super::predicate::Predicate;
use super::query::Query;
use super::table::RouterOptions;
use super::vars::Expr;

/// What a route asks of a request, and what it stands for.
#[derive(Clone, Debug)]
pub struct Rule<T> {
    /// Names the rule in a router; a second rule of the same id replaces the first.
    pub id: Arc<str>,
    /// Place among equals: position in the file; the same for all rules if the id, byte-wise, is to decide.
    pub order: u64,
    /// Path patterns (router.md §3), at least one.
    pub uris: Vec<Arc<str>>,
    /// Host patterns (router.md §5). None: any host, and requests without one.
    pub hosts: Vec<Arc<str>>,
    /// Methods. None: any.
    pub methods: Vec<Method>,
    /// Client addresses. None: any.
    pub remote_addrs: Vec<IpNet>,
    /// A condition on variables.
    pub vars: Option<Expr>,
    /// A condition in Rust, asked after `vars`.
    pub predicate: Option<Predicate>,
    /// Higher wins, only among patterns of the same literal beginning. Default 0.
    pub priority: i64,
    /// What a match gives. Cloned for each pair of path and host, so best an `Arc`.
    pub value: T,
}

impl<T> Rule<T> {
    /// A rule for one path and nothing else.
    pub fn new(id: impl Into<Arc<str>>, uri: impl Into<Arc<str>>, value: T) -> Self {
        Self {
            id: id.into(),
            order: 0,
            uris: vec![uri.into()],
            hosts: Vec::new(),
            methods: Vec::new(),
            remote_addrs: Vec::new(),
            vars: None,
            predicate: None,
            priority: 0,
            value,
        }
    }
}

/// Why a rule was refused: every fault in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route {id}: {}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct RuleError {
    /// The rule.
    pub id: Arc<str>,
    /// What is wrong with it.
    pub faults: Vec<RuleFault>,
}

/// One fault of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleFault {
    /// It has no path.
    #[error("uris: at least one pattern is due")]
    NoUri,
    /// A path pattern is wrong.
    #[error("uris: {uri:?}: {fault}")]
    Uri {
        /// The pattern.
        uri: Arc<str>,
        /// What is wrong.
        fault: PatternFault,
    },
    /// A host pattern is wrong.
    #[error("hosts: {host:?}: {fault}")]
    Host {
        /// The pattern.
        host: Arc<str>,
        /// What is wrong.
        fault: HostPatternFault,
    },
}

/// One pair of path and host of a rule, with all that a match needs in one place.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) methods: Methods,
    pub(super) conditions: Option<Arc<Conditions>>,
    pub(super) value: T,
    pub(super) pattern: Pattern,
    pub(super) id: Arc<str>,
    /// The host pattern, as written.
    pub(super) host: Option<Arc<str>>,
    pub(super) priority: i64,
    order: u64,
    /// Which pair of path and host of its rule it is.
    pair: u32,
}

/// An entry, and the place in the index where it goes.
pub(super) struct Placed<T> {
    pub(super) entry: Arc<Entry<T>>,
    pub(super) host: Option<HostPattern>,
    pub(super) steps: Arc<[Step]>,
}

/// Conditions that few rules have.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) addresses: Box<[IpNet]>,
    pub(super) vars: Option<Expr>,
    pub(super) predicate: Option<Predicate>,
}

/// A condition of a rule, in the sequence in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// `methods`.
    Method,
    /// `remote_addrs`.
    Address,
    /// `hosts`.
    Host,
    /// `vars`.
    Vars,
    /// `filter_func`.
    Predicate,
    /// The rest of the path behind the pattern's literal beginning.
    Captures,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "methods",
            Self::Address => "remote_addrs",
            Self::Host => "hosts",
            Self::Vars => "vars",
            Self::Predicate => "filter_func",
            Self::Captures => "captures",
        })
    }
}

impl<T: Clone> Rule<T> {
    /// Compiles the rule into entries.
    pub(super) fn compile(self, options: &RouterOptions) -> Result<Vec<Placed<T>>, RuleError> {
        let mut faults = Vec::new();
        if self.uris.is_empty() {
            faults.push(RuleFault::NoUri);
        }
        let mut patterns = Vec::with_capacity(self.uris.len());
        for uri in self.uris {
            match Parsed::parse(&uri, options.parameters, options.path_mode) {
                Ok(pattern) => patterns.push(pattern),
                Err(fault) => faults.push(RuleFault::Uri { uri, fault }),
            }
        }
        let mut hosts = Vec::with_capacity(self.hosts.len().max(1));
        if self.hosts.is_empty() {
            hosts.push(None);
        }
        for host in self.hosts {
            match HostPattern::parse(&host) {
                Ok(pattern) => hosts.push(Some((host, pattern))),
                Err(fault) => faults.push(RuleFault::Host { host, fault }),
            }
        }
        if !faults.is_empty() {
            return Err(RuleError { id: self.id, faults });
        }
        let methods = Methods::new(&self.methods);
        let vars = self.vars.filter(|vars| !vars.is_always());
        let is_plain = self.remote_addrs.is_empty() && vars.is_none() && self.predicate.is_none();
        let conditions = (!is_plain)
            .then(|| Arc::new(Conditions { addresses: self.remote_addrs.into(), vars, predicate: self.predicate }));
        let mut entries = Vec::with_capacity(patterns.len() * hosts.len());
        let mut pairs = 0..;
        for Parsed { pattern, steps } in &patterns {
            for host in &hosts {
                let entry = Arc::new(Entry {
                    methods: methods.clone(),
                    conditions: conditions.clone(),
                    value: self.value.clone(),
                    pattern: pattern.clone(),
                    id: Arc::clone(&self.id),
                    host: host.as_ref().map(|(source, _)| Arc::clone(source)),
                    priority: self.priority,
                    order: self.order,
                    pair: pairs.next().unwrap_or(u32::MAX),
                });
                let host = host.as_ref().map(|(_, pattern)| pattern.clone());
                entries.push(Placed { entry, host, steps: Arc::clone(steps) });
            }
        }
        Ok(entries)
    }
}

impl<T> Entry<T> {
    /// Sequence among entries of one literal key: priority, then length of the pattern as written, then load order;
    /// among those of one rule the place in it.
    #[inline]
    pub(super) fn rank(&self) -> impl Ord + use<'_, T> {
        (Reverse(self.priority), Reverse(self.pattern.source.len()), self.order, &self.id, self.pair)
    }

    /// Whether this entry comes first.
    #[inline]
    pub(super) fn precedes(&self, other: &Self) -> bool {
        self.rank() < other.rank()
    }

    /// The entry with its place, found anew.
    pub(super) fn place(self: &Arc<Self>, options: &RouterOptions) -> Placed<T> {
        Placed { entry: Arc::clone(self), host: self.host_pattern(), steps: self.steps(options) }
    }

    /// The host pattern, parsed anew: only changes and questions of people need more than its text.
    pub(super) fn host_pattern(&self) -> Option<HostPattern> {
        HostPattern::parse(self.host.as_deref()?).ok()
    }

    /// What the path pattern is made of, parsed anew for the same reason.
    pub(super) fn steps(&self, options: &RouterOptions) -> Arc<[Step]> {
        let parsed = Parsed::parse(&self.pattern.source, options.parameters, options.path_mode);
        parsed.map_or_else(|_| Arc::default(), |parsed| parsed.steps)
    }

    pub(super) fn vars(&self) -> Option<&Expr> {
        self.conditions.as_ref().and_then(|conditions| conditions.vars.as_ref())
    }

    /// Whether all conditions hold; path and host have led here.
    #[inline]
    pub(super) fn holds(&self, query: &Query<'_>) -> bool {
        self.methods.contain(query.method) && self.holds_but_for_method(query)
    }

    #[inline]
    pub(super) fn holds_but_for_method(&self, query: &Query<'_>) -> bool {
        self.conditions.as_ref().is_none_or(|conditions| conditions.first_failing(query).is_none())
            && self.pattern.holds(query.path)
    }

    /// The first condition that fails, of all that an entry can have.
    pub(super) fn first_failing(&self, query: &Query<'_>, options: &RouterOptions) -> Option<Condition> {
        let conditions = |which: fn(Condition) -> bool| {
            let failing = self.conditions.as_ref().and_then(|conditions| conditions.first_failing(query));
            failing.filter(|condition| which(*condition))
        };
        if !self.methods.contain(query.method) {
            return Some(Condition::Method);
        }
        if let Some(address) = conditions(|condition| condition == Condition::Address) {
            return Some(address);
        }
        if self.host_pattern().is_some_and(|host| !host.matches(query.host)) {
            return Some(Condition::Host);
        }
        let fits = || places(&self.steps(options), query.path).is_some();
        conditions(|_| true).or_else(|| (!fits()).then_some(Condition::Captures))
    }
}

impl Conditions {
    fn first_failing(&self, query: &Query<'_>) -> Option<Condition> {
        let within = |client: IpAddr| self.addresses.iter().any(|network| network.contains(&client));
        if !self.addresses.is_empty() && !query.client.is_some_and(within) {
            return Some(Condition::Address);
        }
        if self.vars.as_ref().is_some_and(|vars| !vars.holds(query.vars)) {
            return Some(Condition::Vars);
        }
        let predicate = self.predicate.as_ref().is_some_and(|predicate| !predicate.holds(query.vars));
        predicate.then_some(Condition::Predicate)
    }
}

/// A set of methods: the common ones as bits.
#[derive(Clone, Debug)]
pub(super) struct Methods {
    /// All bits: any method.
    common: u16,
    others: Option<Arc<Vec<Method>>>,
}

const ANY: u16 = u16::MAX;

const COMMON: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// The bit of a common method, else 0.
#[inline]
fn bit(method: &Method) -> u16 {
    match *method {
        Method::GET => 1,
        Method::HEAD => 1 << 1,
        Method::POST => 1 << 2,
        Method::PUT => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::DELETE => 1 << 5,
        Method::OPTIONS => 1 << 6,
        Method::TRACE => 1 << 7,
        Method::CONNECT => 1 << 8,
        _ => 0,
    }
}

impl Methods {
    fn new(methods: &[Method]) -> Self {
        if methods.is_empty() {
            return Self { common: ANY, others: None };
        }
        let others: Vec<Method> = methods.iter().filter(|method| bit(method) == 0).cloned().collect();
        let common = methods.iter().map(bit).fold(0, |bits, bit| bits | bit);
        Self { common, others: (!others.is_empty()).then(|| Arc::new(others)) }
    }

    #[inline]
    pub(super) fn contain(&self, method: &Method) -> bool {
        self.common == ANY
            || self.common & bit(method) != 0
            || self.others.as_ref().is_some_and(|others| others.contains(method))
    }

    /// Whether every method of `other` is one of these.
    pub(super) fn cover(&self, other: &Self) -> bool {
        self.common == ANY || (other.common != ANY && other.iter().all(|method| self.contain(&method)))
    }

    /// The methods, unless any will do.
    pub(super) fn iter(&self) -> impl Iterator<Item = Method> {
        let common = if self.common == ANY { 0 } else { self.common };
        let others = self.others.iter().flat_map(|others| others.iter().cloned());
        COMMON.into_iter().filter(move |method| common & bit(method) != 0).chain(others)
    }
}
