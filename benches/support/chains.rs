//! What a chain of layers costs a request, measured in this process.
use std::hint::black_box;
use std::time::Duration;

use http::Request;
use rustix::time::ClockId;
use tokio::runtime::Runtime;
use tollgate::{Body, Next};

use crate::cpu::cpu;

/// Sends requests that are made already, one after the other; each of them is to pass.
pub(crate) fn send(runtime: &Runtime, chain: &Next, requests: Vec<Request<Body>>) {
    runtime.block_on(async {
        for request in requests {
            assert_eq!(black_box(chain.run(request).await).status(), 200);
        }
    });
}

/// The CPU time of `count` requests. They are made in batches, which does not count; what a batch has too many is taken off.
pub(crate) fn spent(
    (runtime, chain): (&Runtime, &Next),
    (count, batch): (u64, u64),
    of: ClockId,
    make: impl Fn() -> Request<Body>,
) -> Duration {
    let rounds = count.div_ceil(batch);
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        let requests = (0..batch).map(|_| make()).collect();
        let began = cpu(of);
        send(runtime, chain, requests);
        took += cpu(of) - began;
    }
    took.mul_f64(count as f64 / (rounds * batch) as f64)
}
