//! Memory of a route: what a process of its own grows by while it compiles all of them.
use std::process::Command;

use tollgate::gateway::Gateway;
use tollgate::model::Snapshot;
use tollgate::router::{Router, RouterOptions};

use super::corpus::routes;
use super::verdict::{Figure, Table};
use super::{MANY, snapshot};

const ROLE: &str = "TOLLGATE_BENCH_MEMORY";

pub fn is_child() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Compiles what the parent asks for and prints by how many bytes the process has grown.
pub fn child() {
    let role = std::env::var(ROLE).unwrap();
    let (kind, hosts) = role.split_once(' ').unwrap();
    let hosts = hosts.parse().unwrap();
    let grown = match kind {
        "gateway" => {
            let snapshot: Snapshot = snapshot(hosts);
            let before = resident();
            let gateway = Gateway::builder().build().unwrap();
            gateway.apply(snapshot.clone()).unwrap();
            let grown = resident() - before;
            drop(gateway);
            grown
        }
        mode => {
            let options = RouterOptions { host_first: mode == "host-first", ..RouterOptions::default() };
            let routes = routes(MANY, hosts);
            let before = resident();
            let mut router = Router::new(options);
            for (number, route) in routes.iter().enumerate() {
                router.insert(route.rule(number)).unwrap();
            }
            let grown = resident() - before;
            assert_eq!(router.len(), MANY);
            grown
        }
    };
    println!("{grown}");
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

pub fn measure(table: &mut Table) {
    let cases = [
        ("host-first 100", "memory of a route, 100 hosts, router alone"),
        ("host-first 1", "memory of a route, one host, router alone"),
        ("path-first 100", "memory of a route, 100 hosts, path first, router alone"),
        ("gateway 100", "memory of a route, 100 hosts, whole gateway"),
    ];
    for (role, name) in cases {
        let bytes = |_| {
            let output = Command::new(std::env::current_exe().unwrap()).env(ROLE, role).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap() / MANY as f64
        };
        let figure = Figure::of((0..3).map(bytes).collect());
        table.add(name, "resident, process of its own", figure, Some(1024.0), "B");
    }
}
