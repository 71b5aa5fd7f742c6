//! The table of certificates: a look-up among 1,000 names, a change of one of 100,000 through a gateway, and memory.
//!
//! `cargo bench --bench tls --features tls`. `CERTIFICATES=1000` makes the large table smaller.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a measurement")]
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use tollgate::Gateway;
use tollgate::model::{Host, Sensitive, Snapshot, SslSpec};
use tollgate::tls::{Certificate, Certificates, Pair};

fn main() {
    let pem = pem("a.test");
    lookups(&pem);
    swaps(&pem);
}

fn pem(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn lookups((chain, key): &(String, String)) {
    let table = Certificates::new();
    let pair = Pair::from_pem(chain, key).unwrap();
    for number in 0..1000 {
        let name = if number % 4 == 0 { format!("*.w{number}.test") } else { format!("host-{number}.example.test") };
        let certificate = Certificate::builder(format!("s{number}")).name(name).pair(pair.clone());
        table.put(certificate.build().unwrap());
    }
    for (what, names) in [
        ("exact", (0..1000).filter(|n| n % 4 != 0).map(|n| format!("host-{n}.example.test")).collect::<Vec<_>>()),
        ("wildcard", (0..250).map(|n| format!("any.w{}.test", n * 4)).collect()),
        ("in capitals", (0..1000).filter(|n| n % 4 != 0).map(|n| format!("HOST-{n}.Example.Test")).collect()),
        ("unknown", (0..1000).map(|n| format!("nobody-{n}.example.test")).collect()),
    ] {
        let mut best = Duration::MAX;
        for _ in 0..200 {
            let start = Instant::now();
            for name in &names {
                black_box(table.find(black_box(name)));
            }
            best = best.min(start.elapsed() / names.len() as u32);
        }
        println!("lookup among 1,000, {what}: {} ns", best.as_nanos());
    }
}

fn swaps((chain, key): &(String, String)) {
    let count = std::env::var("CERTIFICATES").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let spec = |number: usize, pair: &(String, String)| {
        Arc::new(SslSpec {
            id: format!("s{number}").into(),
            sni: Some(Host::from(format!("host-{number}.example.test"))),
            cert: pair.0.clone(),
            key: Sensitive::from(pair.1.clone()),
            ..SslSpec::default()
        })
    };
    let first = (chain.clone(), key.clone());
    let mut ssls: Vec<_> = (0..count).map(|number| spec(number, &first)).collect();
    let gateway = Gateway::builder().build().unwrap();
    let of = |ssls: &[Arc<SslSpec>]| Snapshot { ssls: ssls.to_vec().into(), ..Snapshot::default() };
    let (snapshot, before) = (of(&ssls), resident());
    let start = Instant::now();
    gateway.apply(snapshot).unwrap();
    let took = start.elapsed();
    println!("load of {count}: {took:?}, {:?} each", took / count as u32);
    println!("memory: {} bytes each, beside the configuration itself", resident().saturating_sub(before) / count);
    let mut times: Vec<Duration> = (0..50)
        .map(|round| {
            let place = (round * 1999) % count;
            ssls[place] = spec(place, &pem("b.test"));
            let snapshot = of(&ssls);
            let start = Instant::now();
            gateway.apply(snapshot).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("swap of one of {count}: median {:?}, worst {:?}", times[25], times[49]);
}

/// Bytes of memory that the process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4096
}
