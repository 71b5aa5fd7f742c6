//! What policies cost a request, counted in this process: the decisions of `authz-casbin`, `cedar`, and `opa` with `rego`.
//!
//! `cargo bench --bench policies --features casbin,cedar,rego`. A chain is the layer before an end that answers at once; `none` is
//! the end alone. Times are of CPU, of all threads. All policies but the last are of other callers, so that each is looked at.
#![expect(clippy::unwrap_used, reason = "a measurement ends when something is wrong")]
#[path = "support/chains.rs"]
mod chains;
#[path = "support/cpu.rs"]
mod cpu;

use chains::spent;
use criterion::Criterion;
use http::Request;
use rustix::time::ClockId;
use tollgate::model::ConsumerSpec;
use tollgate::plugin::GateLayer;
use tollgate::plugin::bodies::Bodies;
use tollgate::plugins::authz_casbin::{AuthzCasbin, AuthzCasbinConfig, AuthzCasbinLayer};
use tollgate::plugins::cedar::{Cedar, CedarConfig};
use tollgate::plugins::opa::{Opa, OpaConfig, OpaLayer};
use tollgate::request::Consumer;
use tollgate::{Body, Next, PluginLayer, Response};

fn end() -> Next {
    Next::from_call(|_| Box::pin(std::future::ready(Response::default())))
}

/// Roles, a path and a method for each policy, and so many other users who have one of the roles.
fn casbin(count: usize, users: usize) -> PluginLayer {
    let mut config = AuthzCasbinConfig::default();
    config.username = "X-Consumer-Username".to_owned();
    config.model = Some(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[role_definition]\ng = _, _\n\
         [policy_effect]\ne = some(where (p.eft == allow))\n\
         [matchers]\nm = keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act) && g(r.sub, p.sub)"
            .to_owned(),
    );
    let others = (1..count).map(|other| format!("p, role-{other}, /things-{other}/:id, ^(GET|POST)$\n"));
    let users = (0..users).map(|user| format!("g, user-{user}, role-{}\n", user % count));
    config.policy = Some(others.chain(users).collect::<String>() + "p, reader, /orders/:id, ^GET$\ng, acme, reader\n");
    AuthzCasbinLayer::of(AuthzCasbin::new(config).unwrap()).into()
}

/// A condition for each policy.
fn cedar(count: usize) -> PluginLayer {
    let mut config = CedarConfig::default();
    let policy = |name: &str, path: &str| {
        format!(
            "permit(principal == Consumer::\"{name}\", action, resource) when {{ context.path like \"/{path}/*\" }};\n"
        )
    };
    let others = (1..count).map(|other| policy(&format!("other-{other}"), &format!("things-{other}")));
    config.policies = others.collect::<String>() + &*policy("acme", "orders");
    GateLayer::of(Cedar::new(config).unwrap()).into()
}

/// A rule with a body for each policy.
fn rego(count: usize) -> PluginLayer {
    let mut config = OpaConfig::default();
    config.with_consumer = true;
    let rule = |name: &str, path: &str| {
        format!("allow if {{ input.consumer.username == \"{name}\"; startswith(input.request.path, \"/{path}/\") }}\n")
    };
    let others = (1..count).map(|other| rule(&format!("other-{other}"), &format!("things-{other}")));
    config.rego = Some("package a\n".to_owned() + &*others.collect::<String>() + &*rule("acme", "orders"));
    OpaLayer::of(Opa::new(config, Bodies::default()).unwrap()).into()
}

fn request(acme: &Consumer) -> Request<Body> {
    let request = Request::get("/orders/4711?page=1").header("host", "api.test").header("accept", "*/*");
    let mut request = request.header("user-agent", "bench").body(Body::empty()).unwrap();
    acme.attach(&mut request);
    request
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let spec: ConsumerSpec = serde_json::from_value(serde_json::json!({"username": "acme"})).unwrap();
    let acme = Consumer::new(&spec);
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("policies");
    let mut cases = vec![("none".to_owned(), end())];
    for count in [1, 10, 100, 1000] {
        cases.push((format!("authz-casbin, {count}"), casbin(count, 0).wrap(end())));
        cases.push((format!("cedar, {count}"), cedar(count).wrap(end())));
        cases.push((format!("rego, {count}"), rego(count).wrap(end())));
    }
    cases.push(("authz-casbin, 100, of 50000 users".to_owned(), casbin(100, 50_000).wrap(end())));
    cases.push(("authz-casbin, 10000".to_owned(), casbin(10_000, 0).wrap(end())));
    for (name, chain) in &cases {
        group.bench_function(name, |bencher| {
            bencher
                .iter_custom(|count| spent((&runtime, chain), (count, 10), ClockId::ProcessCPUTime, || request(&acme)));
        });
    }
    group.finish();
    criterion.final_summary();
}
