//! What a chain of layers allocates for a request.
use std::alloc::System;

use http::Request;
use stats_alloc::{Region, StatsAlloc};
use tokio::runtime::Runtime;
use tollgate::{Body, Next};

use crate::chains::send;

/// Allocations of a request, of a thousand of them; what the first one sets up does not count.
pub(crate) fn allocated(
    allocator: &StatsAlloc<System>,
    runtime: &Runtime,
    chain: &Next,
    make: impl Fn() -> Request<Body>,
) -> f64 {
    send(runtime, chain, vec![make()]);
    let requests: Vec<_> = (0..1000).map(|_| make()).collect();
    let region = Region::new(allocator);
    send(runtime, chain, requests);
    region.change().allocations as f64 / 1000.0
}
