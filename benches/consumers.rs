//! What a consumer costs: `key-auth` among a thousand consumers and among a million, time and memory.
//!
//! `cargo bench --bench consumers`. Each figure of time is of the processor's time, the median over rounds; a round judges
//! 200,000 requests with random keys, so that neither tables nor requests stay in the processor's caches. A hit attaches the
//! consumer, a miss makes the answer. Memory is what the process grows by while it takes the consumers in, each with a key
//! of 32 characters and nothing else.
#![expect(clippy::unwrap_used, reason = "a measurement ends when something is wrong")]
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request};
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tollgate::model::ConsumerSpec;
use tollgate::plugin::{AuthPlugin as _, Gate as _};
use tollgate::plugins::key_auth::{KeyAuth, KeyAuthConfig, KeyAuthCredential, KeyAuthPlugin};
use tollgate::request::{Consumer, Consumers};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: usize = 200_000;
const ROUNDS: usize = 9;

fn main() {
    println!("consumers  judged hit  judged miss  bytes a consumer  made in");
    for count in [1_000, 1_000_000] {
        let before = resident();
        let began = Instant::now();
        let consumers = Arc::new(consumers(count));
        let (took, grown) = (began.elapsed(), resident() - before);
        let gate = KeyAuth::new(KeyAuthConfig::default(), consumers).unwrap();
        let (hit, miss) = (judged(&gate, count, true), judged(&gate, count, false));
        let each = grown / count as f64;
        println!("{count:>9}  {hit:>7.0} ns  {miss:>8.0} ns  {each:>16.0}  {:.2} s", took.as_secs_f64());
        if count == 1_000 {
            println!("allocations of a hit: {}", allocations(&gate));
        }
    }
}

fn consumers(count: usize) -> Consumers {
    let mut builder = Consumers::builder();
    for number in 0..count {
        let spec = ConsumerSpec { username: format!("consumer-{number}").into(), ..ConsumerSpec::default() };
        let key = KeyAuthPlugin.to_credential(KeyAuthCredential::new(key(number))).unwrap();
        builder = builder.consumer(&Consumer::new(&spec), [key]).unwrap();
    }
    builder.build()
}

fn key(number: usize) -> String {
    format!("{:032x}", mixed(number as u64))
}

/// Numbers in no order (the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// As many fields as a plain client sends, and a key.
fn request(key: &str) -> Request<()> {
    let request = Request::builder().uri("/orders/1").header("host", "api.test").header("accept", "*/*");
    let request = request.header("user-agent", "bench").header("apikey", HeaderValue::from_str(key).unwrap());
    request.body(()).unwrap()
}

/// Nanoseconds a request, its making not counted.
fn judged(gate: &KeyAuth, count: usize, hit: bool) -> f64 {
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let mut requests: Vec<_> = (0..REQUESTS)
                .map(|at| {
                    let at = mixed((round * REQUESTS + at) as u64) as usize % count;
                    request(&key(if hit { at } else { at + count }))
                })
                .collect();
            let began = processor_time();
            for request in &mut requests {
                assert_eq!(black_box(gate.check(request)).is_ok(), hit);
            }
            processor_time() - began
        })
        .collect();
    rounds.sort();
    let median = rounds.into_iter().nth(ROUNDS / 2).unwrap();
    median.as_secs_f64() * 1e9 / REQUESTS as f64
}

fn allocations(gate: &KeyAuth) -> usize {
    let mut request = request(&key(0));
    let region = Region::new(ALLOCATOR);
    gate.check(&mut request).unwrap();
    region.change().allocations + region.change().reallocations
}

/// What this thread has had of a processor: other work on the machine does not count.
fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
}

/// Bytes of memory that the process holds.
fn resident() -> f64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}
