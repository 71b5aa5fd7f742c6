//! What a change of one route costs in a gateway that follows a store: from the commit to its effect, and how much of it is
//! judging. `cargo bench --bench live --features full`
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate::gateway::Gateway;
use tollgate::store::{Edit, Key, MemoryStore, Mirror, MirrorOptions, Store, Transaction};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn route(number: usize, round: usize) -> Edit {
    let value = json!({
        "uris": [format!("/api/{number}/items"), format!("/api/{number}/items/*")],
        "hosts": [format!("h{}.test", number % 100)],
        "labels": {"round": round.to_string()},
        "plugins": {"proxy-rewrite": {"headers": {"set": {"x-route": format!("{number}")}}}},
        "upstream_id": (number % 50).to_string(),
    });
    put(&format!("routes/{number}"), value.to_string())
}

fn put(key: &str, value: String) -> Edit {
    let key = Key::parse(key).unwrap_or_else(|| std::process::abort());
    Edit::Put { key, value: value.into(), ttl: None }
}

async fn commit(store: &MemoryStore, edits: Vec<Edit>) -> u64 {
    let transaction = Transaction { edits, ..Transaction::default() };
    store.commit(transaction).await.map_or(0, |committed| committed.revision)
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    format!("p50 {:>9.1?}  p99 {:>9.1?}", at(0.5), at(0.99))
}

async fn measure(routes: usize) {
    let store = MemoryStore::new();
    let upstreams = (0..50).map(|number| {
        let value = json!({"nodes": [{"host": "127.0.0.1", "port": 7001 + number, "weight": 1}]});
        put(&format!("upstreams/{number}"), value.to_string())
    });
    commit(&store, upstreams.chain((0..routes).map(|number| route(number, 0))).collect()).await;
    let Ok(gateway) = Gateway::builder().build() else { return };
    let begun = Instant::now();
    let mirror = Mirror::start(Arc::new(store.clone()), MirrorOptions::default());
    let following = tokio::spawn({
        let (gateway, source) = (gateway.clone(), mirror.source());
        async move { gateway.follow(source, |_| {}).await }
    });
    mirror.loaded().await;
    let read = begun.elapsed();
    mirror.applied(1, Duration::from_secs(600)).await;
    println!("{routes:>7} routes: read {read:.2?}, in force {:.2?}", begun.elapsed());

    let (mut known, mut applied, mut judged) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=500 {
        let edit = route(round * 7919 % routes, round);
        let begun = Instant::now();
        let revision = commit(&store, vec![edit]).await;
        mirror.reached(revision).await;
        known.push(begun.elapsed());
        mirror.applied(revision, Duration::from_secs(60)).await;
        applied.push(begun.elapsed());
        let mut candidate = mirror.view().snapshot().clone();
        let list = candidate.routes.to_mut();
        let changed = list.get(routes / 2).map(|spec| {
            let mut spec = (**spec).clone();
            spec.priority = round as i64;
            Arc::new(spec)
        });
        if let (Some(slot), Some(changed)) = (list.get_mut(routes / 2), changed) {
            *slot = changed;
        }
        let begun = Instant::now();
        let findings = gateway.judge(&candidate);
        judged.push(begun.elapsed());
        if !findings.is_empty() {
            println!("{findings:?}");
        }
    }
    println!("        known to the mirror  {}", quantiles(known));
    println!("        in force             {}", quantiles(applied));
    println!("        judged               {}", quantiles(judged));
    following.abort();
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { return };
    for routes in [100, 10_000, 100_000] {
        runtime.block_on(measure(routes));
    }
}
