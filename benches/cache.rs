//! What the cache costs, counted in this process: a hit beside a miss and beside no cache at all, its allocations, and the
//! memory of a million small answers beside their bodies.
//!
//! `cargo bench --bench cache --features cache`. The end answers at once with 1 KiB and seven fields, so `none` is the end
//! alone: a real upstream costs more than that. Times are of the thread's own CPU.
#![expect(clippy::unwrap_used, reason = "a measurement ends when something is wrong")]
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::Runtime;
use tollgate::cache::Zone;
use tollgate::model::{ByteSize, CacheZoneSpec};
use tollgate::plugins::proxy_cache::{ProxyCache, ProxyCacheConfig, ProxyCacheLayer};
use tollgate::{Body, Next, PluginLayer, Response};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const MILLION: u32 = 1_000_000;

/// An end that answers with a body of this size and the fields of a usual answer.
fn end(size: usize) -> Next {
    let body = Bytes::from(vec![b'x'; size]);
    Next::from_call(move |_| {
        let mut response = Response::new(Body::from(body.clone()));
        for (name, value) in [
            ("content-type", "text/plain"),
            ("date", "Sun, 09 Sep 2001 01:46:40 GMT"),
            ("etag", "\"5f3e-1a2b3c4d\""),
            ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
            ("cache-control", "max-age=300"),
        ] {
            response.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        Box::pin(std::future::ready(response))
    })
}

fn cache(size: u64) -> (Arc<Zone>, PluginLayer) {
    let zone = Zone::new(CacheZoneSpec::memory("bench", ByteSize(size)));
    let cache = ProxyCache::new(ProxyCacheConfig::memory(), Arc::clone(&zone)).unwrap();
    (zone, ProxyCacheLayer::of(cache).into())
}

fn ask(runtime: &Runtime, chain: &Next, target: &str) -> usize {
    let request = Request::builder().uri(target).header("host", "bench.test").body(Body::empty()).unwrap();
    runtime.block_on(async { chain.run(request).await.into_body().buffer(1 << 20).await.unwrap().len() })
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

/// Time and allocations of one request.
fn cost(what: &str, runtime: &Runtime, chain: &Next, target: &dyn Fn(u32) -> String) {
    const ROUNDS: u32 = 200_000;
    let targets: Vec<_> = (0..ROUNDS).map(target).collect();
    for target in targets.iter().take(1000) {
        black_box(ask(runtime, chain, target));
    }
    let region = Region::new(ALLOCATOR);
    let began = cpu();
    for target in &targets {
        black_box(ask(runtime, chain, target));
    }
    let (took, change) = (cpu() - began, region.change());
    println!(
        "{what}: {} ns, {:.1} allocations",
        took.as_nanos() / u128::from(ROUNDS),
        change.allocations as f64 / f64::from(ROUNDS)
    );
}

/// Bytes of the process that are in memory.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let same = |_| "/page".to_owned();
    cost("no cache, 1 KiB", &runtime, &end(1024), &same);
    let (_, layer) = cache(64 << 20);
    cost("hit from memory, 1 KiB", &runtime, &layer.wrap(end(1024)), &same);
    cost("miss that is stored, 1 KiB", &runtime, &layer.wrap(end(1024)), &|number| format!("/page/{number}"));

    const BODY: usize = 100;
    let (zone, layer) = cache(2 << 30);
    let chain = layer.wrap(end(BODY));
    let (region, before) = (Region::new(ALLOCATOR), resident());
    for number in 0..MILLION {
        black_box(ask(&runtime, &chain, &format!("/item/{number}")));
    }
    let change = region.change();
    // What grows in place is among both.
    let held = change.bytes_allocated - change.bytes_deallocated;
    let entries = zone.stats().entries;
    let each = held as f64 / entries as f64 - BODY as f64;
    println!(
        "{entries} answers of {BODY} bytes: {each:.0} bytes each beside the body, as allocated; the zone counts {:.0}; the \
         process grew by {:.0}",
        zone.stats().bytes as f64 / entries as f64 - BODY as f64,
        (resident() - before) as f64 / entries as f64 - BODY as f64
    );
}
