//! The router's figures: `cargo bench --bench router` measures them and says which are met.
//!
//! Lookups are compared with matchit alone on the same patterns. With several hosts that is what one would write by
//! hand: a `HashMap` of hosts, a matchit tree for each. Captures are read on both sides. Sets of requests are *hot* (64
//! requests, everything in the first cache) or *spread* (65,536 requests over all routes: mostly cache misses, which
//! both sides pay).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement ends when something is wrong")]
#![allow(unreachable_pub, reason = "modules of a binary")]
mod corpus;
mod memory;
mod verdict;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use http::Method;
use serde_json::json;
use tollgate::gateway::Gateway;
use tollgate::model::{NodeSpec, RouteSpec, Snapshot, UpstreamSpec};
use tollgate::router::{Expr, HostName, Query, Router, RouterOptions, Rule, Value, VarName, Variables};

use self::corpus::{Ask, Request, Sample, requests, routes};
use self::verdict::{Figure, Table, milliseconds};

const MANY: usize = 100_000;
const FEW: usize = 1_000;
const ASKS: [(Ask, &str); 5] = [
    (Ask::Static, "static hit"),
    (Ask::Parameters, "parameter hit"),
    (Ask::DeepMiss, "miss behind a route"),
    (Ask::EarlyMiss, "miss at the first byte"),
    (Ask::NearMiss, "miss inside the first segment"),
];

type Part = (&'static str, fn(&mut Table));

/// `cargo bench --bench router -- change` runs one of them.
const PARTS: [Part; 7] = [
    ("matchit", against_matchit),
    ("few", against_few),
    ("one-path", one_path),
    ("compile", compile),
    ("change", change),
    ("memory", memory::measure),
    ("criterion", criterion),
];

fn main() {
    if memory::is_child() {
        return memory::child();
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut table = Table::default();
    for (name, measure) in PARTS {
        if wanted.as_deref().is_none_or(|wanted| name == wanted) {
            measure(&mut table);
        }
    }
    table.print();
}

fn router(routes: &[Sample]) -> Router<usize> {
    let rules = routes.iter().enumerate().map(|(number, route)| route.rule(number));
    let (router, errors) = Router::from_rules(RouterOptions::default(), rules);
    assert!(errors.is_empty());
    router
}

/// Finds the route and reads its captures.
fn find(router: &Router<usize>, request: &Request) -> bool {
    let found = router.find(&black_box(request).query());
    let Ok(found) = found else { return false };
    for capture in found.params.iter() {
        black_box(capture);
    }
    black_box(found.value);
    true
}

/// matchit by hand: with one host no map.
enum Matchit {
    One(matchit::Router<usize>),
    ByHost(HashMap<String, matchit::Router<usize>>),
}

impl Matchit {
    fn new(routes: &[Sample], hosts: usize) -> Self {
        let mut by_host: HashMap<String, matchit::Router<usize>> = HashMap::new();
        for (number, route) in routes.iter().enumerate() {
            by_host.entry(route.host.clone()).or_default().insert(route.matchit_pattern(), number).unwrap();
        }
        assert_eq!(by_host.len(), hosts.min(routes.len() / 100));
        if hosts == 1 { Self::One(by_host.into_values().next().unwrap()) } else { Self::ByHost(by_host) }
    }

    fn find(&self, request: &Request) -> bool {
        let request = black_box(request);
        let paths = match self {
            Self::One(paths) => Some(paths),
            Self::ByHost(hosts) => hosts.get(&*request.authority),
        };
        let Some(Ok(found)) = paths.map(|paths| paths.at(&request.path)) else { return false };
        for capture in found.params.iter() {
            black_box(capture);
        }
        black_box(found.value);
        true
    }
}

fn against_matchit(table: &mut Table) {
    against_matchit_on(table, 100);
    against_matchit_on(table, 1);
}

fn against_matchit_on(table: &mut Table, hosts: usize) {
    let routes = routes(MANY, hosts);
    let (ours, theirs) = (router(&routes), Matchit::new(&routes, hosts));
    for (count, heat) in [(64, "hot"), (65_536, "spread")] {
        for (ask, name) in ASKS {
            let asked = requests(&routes, ask, count);
            let is_hit = matches!(ask, Ask::Static | Ask::Parameters);
            assert!(asked.iter().all(|request| find(&ours, request) == is_hit && theirs.find(request) == is_hit));
            table.compare(
                format!("{name}, {heat}, {hosts} hosts / matchit"),
                Some(1.5),
                (&asked, &asked),
                |request| find(&ours, request),
                |request| theirs.find(request),
            );
        }
    }
}

fn against_few(table: &mut Table) {
    against_few_on(table, 100);
    against_few_on(table, 1);
}

/// The same requests, for routes that both routers have: what the other 99,000 routes cost them.
fn against_few_on(table: &mut Table, hosts: usize) {
    let (many, few) = (routes(MANY, hosts), routes(FEW, hosts));
    let (large, small) = (router(&many), router(&few));
    for (ask, name) in ASKS {
        let asked = requests(&few, ask, 4_096);
        table.compare(
            format!("{name}, {hosts} hosts, 100,000 routes / 1,000"),
            Some(1.3),
            (&asked, &asked),
            |request| find(&large, request),
            |request| find(&small, request),
        );
    }
}

/// A tenant as a header tells it.
struct Tenant(String);

impl Variables for Tenant {
    fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
        matches!(name, VarName::Header(name) if name == "x-tenant").then(|| self.0.as_str().into())
    }
}

/// Routes that all have the path `/*`: a lookup must not look at each.
fn one_path(table: &mut Table) {
    for host_first in [true, false] {
        let options = RouterOptions { host_first, ..RouterOptions::default() };
        let mode = if host_first { "host first" } else { "path first" };
        let by_host = |count: usize| {
            let rule = |number: usize| Rule {
                order: number as u64,
                hosts: vec![format!("tenant-{number}.example.com").into()],
                ..Rule::new(format!("route-{number}"), "/*", number)
            };
            Router::from_rules(options, (0..count).map(rule)).0
        };
        let (large, small) = (by_host(MANY), by_host(100));
        let asked: Vec<_> =
            (0..100).map(|number| Request::new(&format!("tenant-{number}.example.com"), "/a/b".to_owned())).collect();
        assert!(asked.iter().all(|request| find(&large, request) && find(&small, request)));
        table.compare(
            format!("100,000 paths /* told apart by host / 100, {mode}"),
            Some(1.5),
            (&asked, &asked),
            |request| find(&large, request),
            |request| find(&small, request),
        );
    }
    let by_vars = |count: usize| {
        let rule = |number: usize| Rule {
            order: number as u64,
            vars: Some(Expr::compile(&json!([["http_x_tenant", "==", format!("tenant-{number}")]])).unwrap()),
            ..Rule::new(format!("route-{number}"), "/*", number)
        };
        Router::from_rules(RouterOptions::default(), (0..count).map(rule)).0
    };
    let (large, small) = (by_vars(10_000), by_vars(100));
    let tenants: Vec<_> = (0..100).map(|number| Tenant(format!("tenant-{number}"))).collect();
    let host = HostName::parse("example.com").unwrap();
    let ask = |router: &Router<usize>, vars: &Tenant| {
        let query =
            Query { method: &Method::GET, host: Some(&host), path: b"/a/b", client: None, vars: black_box(vars) };
        router.find(&query).map(|found| *found.value).unwrap()
    };
    table.compare(
        "10,000 paths /* told apart by a header / 100",
        Some(1.5),
        (&tenants, &tenants),
        |tenant| ask(&large, tenant),
        |tenant| ask(&small, tenant),
    );
}

fn compile(table: &mut Table) {
    for hosts in [100, 1] {
        let routes = routes(MANY, hosts);
        let time = milliseconds(5, || router(&routes));
        table.add(format!("compile 100,000 routes, {hosts} hosts, router alone"), "", time, Some(1000.0), "ms");
    }
    let snapshot = snapshot(100);
    let time = milliseconds(5, || {
        let gateway = Gateway::builder().build().unwrap();
        gateway.apply(snapshot.clone()).unwrap();
        gateway
    });
    table.add("compile 100,000 routes, whole gateway", "first `apply`", time, Some(1000.0), "ms");
}

fn snapshot(hosts: usize) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.upstreams.push(UpstreamSpec::new("u", [NodeSpec::host("127.0.0.1", 1)]));
    let specs = routes(MANY, hosts).into_iter().enumerate().map(|(number, route)| RouteSpec {
        host: Some(route.host.as_str().into()),
        upstream_id: Some("u".into()),
        ..RouteSpec::new(format!("route-{number}"), route.pattern())
    });
    snapshot.routes = specs.collect();
    snapshot
}

/// One route of 100,000 changes; all other items are shared with the snapshot before.
fn change(table: &mut Table) {
    for hosts in [100, 1] {
        let routes = routes(MANY, hosts);
        let mut live = router(&routes);
        let mut number = 0;
        let time = milliseconds(101, || {
            number = (number + 7_919) % MANY;
            let mut next = live.clone();
            next.insert(Rule { priority: 1, ..routes[number].rule(number) }).unwrap();
            std::mem::replace(&mut live, next)
        });
        table.add(format!("change one of 100,000 routes, {hosts} hosts, router alone"), "", time, Some(10.0), "ms");
    }
    // A configuration that serves cannot be changed in place, so matchit has to be cloned.
    let Matchit::One(tree) = Matchit::new(&routes(MANY, 1), 1) else { return };
    let time = milliseconds(11, || {
        let mut next = tree.clone();
        next.insert("/late/{id}", 0).unwrap();
        next
    });
    table.add("add one route to 100,000, matchit (clone and insert)", "", time, None, "ms");
    let gateway = Gateway::builder().build().unwrap();
    gateway.apply(snapshot(100)).unwrap();
    let mut step = |name: &str, edit: &mut dyn FnMut(&mut Snapshot, usize)| {
        let mut times = Vec::new();
        for round in 0..51 {
            let mut next = gateway.snapshot();
            edit(&mut next, (round * 7_919) % MANY);
            let figure = milliseconds(1, || gateway.apply(next.clone()).unwrap());
            times.push(figure);
        }
        table.add(
            format!("{name}, whole gateway"),
            "`apply` of a snapshot that shares the rest",
            Figure::all(times),
            Some(10.0),
            "ms",
        );
    };
    step("change one of 100,000 routes", &mut |next, at| {
        let route = &mut next.routes.to_mut()[at];
        *route = RouteSpec { priority: route.priority + 1, ..RouteSpec::clone(route) }.into();
    });
    step("add one route in the midst of 100,000", &mut |next, at| {
        let id = format!("new-{}", next.routes.len());
        let new = RouteSpec { upstream_id: Some("u".into()), ..RouteSpec::new(id, format!("/new-{at}/*")) };
        next.routes.to_mut().insert(at, new.into());
    });
    step("remove one of 100,000 routes", &mut |next, at| drop(next.routes.to_mut().remove(at)));
}

/// Absolute times of single lookups, which criterion compares with those of the run before.
fn criterion(_: &mut Table) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .without_plots();
    let routes = routes(MANY, 100);
    let (ours, theirs) = (router(&routes), Matchit::new(&routes, 100));
    for (ask, name) in ASKS {
        let asked = requests(&routes, ask, 64);
        let mut group = criterion.benchmark_group(name);
        let mut next = asked.iter().cycle();
        group.bench_function("tollgate", |bencher| {
            bencher.iter_batched(|| next.next().unwrap(), |request| find(&ours, request), BatchSize::SmallInput);
        });
        group.bench_function("matchit", |bencher| {
            bencher.iter_batched(|| next.next().unwrap(), |request| theirs.find(request), BatchSize::SmallInput);
        });
        group.finish();
    }
    criterion.final_summary();
}
