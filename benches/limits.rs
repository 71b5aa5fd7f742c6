//! What a limit costs, counted in this process: a request's decision, its allocations, the memory of a key, and the longest
//! that one request takes while a million keys come to their end.
//!
//! `cargo bench --bench limits`. A chain is one layer before an end that answers at once, with two fields; `none` is the end
//! alone. The key is one header of 8 bytes. Times are of the thread's own CPU, so that neighbours on the machine count little.
#![expect(clippy::unwrap_used, reason = "a measurement ends when something is wrong")]
#[path = "support/allocations.rs"]
mod allocations;
#[path = "support/chains.rs"]
mod chains;
#[path = "support/cpu.rs"]
mod cpu;

use std::hint::black_box;
use std::time::Duration;

use allocations::allocated;
use chains::spent;
use cpu::cpu;
use criterion::Criterion;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request};
use rustix::time::ClockId;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::Runtime;
use tollgate::plugins::limit_conn::{LimitConnConfig, LimitConnLayer};
use tollgate::plugins::limit_count::{LimitCountConfig, LimitCountPlugin, WindowType};
use tollgate::plugins::limit_req::{LimitReqConfig, LimitReqPlugin};
use tollgate::{Body, Next, PluginLayer, Response};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const KEY: &str = "http_x_tenant";
const MILLION: u32 = 1_000_000;
/// Seconds.
const WINDOW: u64 = 60;

fn end() -> Next {
    Next::from_call(|_| {
        let mut response = Response::default();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Box::pin(std::future::ready(response))
    })
}

fn count(window_type: WindowType, tells: bool) -> LimitCountConfig {
    let mut config = LimitCountConfig::new(1_000_000_000, WINDOW);
    config.key = KEY.to_owned();
    config.window_type = window_type;
    config.show_limit_quota_header = tells;
    config
}

fn leak() -> LimitReqConfig {
    let mut config = LimitReqConfig::new(1e9, 1e9, KEY);
    config.nodelay = true;
    config
}

fn request(tenant: u32) -> Request<Body> {
    let mut digits = *b"00000000";
    let mut rest = tenant;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef".get((rest % 16) as usize).copied().unwrap();
        rest /= 16;
    }
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert("x-tenant", HeaderValue::from_bytes(&digits).unwrap());
    request
}

/// The chains of the first two parts.
fn chains() -> [(&'static str, Next); 6] {
    let count = |window_type, tells| LimitCountPlugin::default().layer(&count(window_type, tells)).unwrap();
    let conn = LimitConnLayer::new(LimitConnConfig::new(1_000_000, 0, 0.1, KEY)).unwrap();
    let before = |layer: PluginLayer| layer.wrap(end());
    [
        ("none", end()),
        ("limit-count", before(count(WindowType::Fixed, true).into())),
        ("limit-count, sliding", before(count(WindowType::Sliding, true).into())),
        ("limit-count, no fields", before(count(WindowType::Fixed, false).into())),
        ("limit-req", before(LimitReqPlugin::default().layer(&leak()).unwrap().into())),
        ("limit-conn", before(conn.into())),
    ]
}

fn decisions(runtime: &Runtime) {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("limits");
    for (name, chain) in chains() {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| spent((runtime, &chain), (count, 1000), ClockId::ThreadCPUTime, || request(1)));
        });
    }
    group.finish();
    criterion.final_summary();
}

fn allocations(runtime: &Runtime) {
    println!("\nallocations of a request");
    for (name, chain) in chains() {
        println!("  {name:24} {:.2}", allocated(ALLOCATOR, runtime, &chain, || request(1)));
    }
}

/// Each request's own CPU time, sorted.
async fn timed(chain: &Next, tenants: std::ops::Range<u32>) -> Vec<Duration> {
    let mut times = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let request = request(tenant);
        let began = cpu(ClockId::ThreadCPUTime);
        black_box(chain.run(request).await);
        times.push(cpu(ClockId::ThreadCPUTime) - began);
    }
    times.sort_unstable();
    times
}

fn tell(what: &str, times: &[Duration]) {
    let at = |share: f64| times.get(((times.len() - 1) as f64 * share) as usize).copied().unwrap();
    println!("  {what:36} median {:?}, p99.99 {:?}, longest {:?}", at(0.5), at(0.9999), at(1.0));
}

/// A million keys, and another million when the time of the first is over. Time is at rest but for the leap between them.
fn keys(name: &str, chain: &Next, keys: &dyn Fn() -> usize, evicted: &dyn Fn() -> u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        // what is made for the measurement itself is there before it begins
        let region = Region::new(ALLOCATOR);
        for tenant in 0..MILLION {
            black_box(chain.run(request(tenant)).await);
        }
        let change = region.change();
        let grown = change.bytes_allocated - change.bytes_deallocated;
        println!("\n{name}: {} live keys, {} evicted", keys(), evicted());
        println!("  {:36} {:.1}", "bytes a key", grown as f64 / keys() as f64);
        tell("one more request of a live key", &timed(chain, 0..MILLION).await);
        tokio::time::advance(Duration::from_secs(3 * WINDOW)).await;
        tell("a new key while a million end", &timed(chain, MILLION..2 * MILLION).await);
        println!("  {:36} {}", "keys after it", keys());
    });
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    decisions(&runtime);
    allocations(&runtime);
    for (name, window_type) in
        [("limit-count, fixed", WindowType::Fixed), ("limit-count, sliding", WindowType::Sliding)]
    {
        let plugin = LimitCountPlugin::default();
        let chain = PluginLayer::from(plugin.layer(&count(window_type, true)).unwrap()).wrap(end());
        keys(name, &chain, &|| plugin.keys(), &|| plugin.evicted());
    }
    let plugin = LimitReqPlugin::default();
    let mut config = LimitReqConfig::new(1.0 / WINDOW as f64, 9.0, KEY);
    config.nodelay = true;
    let chain = PluginLayer::from(plugin.layer(&config).unwrap()).wrap(end());
    keys("limit-req", &chain, &|| plugin.keys(), &|| plugin.evicted());
}
