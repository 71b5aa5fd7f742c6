//! What a pick costs, by policy and number of endpoints.
//!
//! `cargo bench --bench balance`. Each pick is of another client, so that `chash` looks at another place of its ring each time.
//! *Request* is what a request costs a policy that counts load: the pick, its coming and its end, with a hundred others in
//! flight. *Retry* is a pick with one endpoint tried before. *Build* is what a
//! change of the endpoints costs, which no request waits for.
#![expect(clippy::unwrap_used, reason = "a measurement ends when something is wrong")]
use std::collections::VecDeque;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use http::request::Parts;
use tokio::time::Instant;
use tollgate::upstream::balance::{Balancer, Ewma, LeastConn, Member, Pick, Ring, RoundRobin};

const IN_FLIGHT: usize = 100;

/// Asks on behalf of one client after the other.
struct Clients {
    parts: Parts,
    next: u32,
}

impl Clients {
    fn ask(&mut self, balancer: &dyn Balancer, tried: &[usize]) -> usize {
        self.next = self.next.wrapping_add(0x9e37_79b9);
        let client = IpAddr::from(self.next.to_be_bytes());
        balancer.pick(&Pick::new(&self.parts, Some(client), tried)).unwrap()
    }
}

fn members(count: usize) -> Vec<Member> {
    let name = |index: usize| format!("10.{}.{}.{}:80", index >> 16, index >> 8 & 255, index & 255);
    (0..count).map(|index| Member::new(name(index), 1)).collect()
}

fn build(policy: &str, members: &[Member]) -> Arc<dyn Balancer> {
    match policy {
        "roundrobin" => Arc::new(RoundRobin::new(&members.iter().map(|member| member.weight).collect::<Vec<_>>())),
        "chash" => Arc::new(Ring::new(members, None)),
        "least_conn" => LeastConn::new(members),
        _ => Arc::new(Ewma::new(members)),
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut clients = Clients { parts: http::Request::new(()).into_parts().0, next: 0 };
    for count in [10, 1_000, 10_000] {
        let members = members(count);
        let now = Instant::now();
        for (member, milliseconds) in members.iter().zip(1..) {
            member.load.latency().record(Duration::from_millis(milliseconds), now);
        }
        let mut group = criterion.benchmark_group(format!("{count}"));
        for policy in ["roundrobin", "chash", "least_conn", "ewma"] {
            let balancer = build(policy, &members);
            group.bench_function(format!("{policy}/pick"), |bencher| {
                bencher.iter(|| clients.ask(&*balancer, &[]));
            });
            group.bench_function(format!("{policy}/retry"), |bencher| {
                bencher.iter(|| clients.ask(&*balancer, &[count / 2]));
            });
            if balancer.counts_load() {
                let mut busy: VecDeque<_> =
                    (0..IN_FLIGHT).map(|_| members.get(clients.ask(&*balancer, &[])).unwrap().load.enter()).collect();
                group.bench_function(format!("{policy}/request"), |bencher| {
                    bencher.iter(|| {
                        let member = members.get(clients.ask(&*balancer, &[])).unwrap();
                        busy.push_back(member.load.enter());
                        drop(busy.pop_front());
                    });
                });
            }
            group.bench_function(format!("{policy}/build"), |bencher| {
                bencher.iter(|| black_box(build(policy, &members)));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
