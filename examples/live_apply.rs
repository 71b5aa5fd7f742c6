//! Configuration as data: a host that makes snapshots itself and applies a new one every few milliseconds under load.
//!
//! `UPSTREAM=127.0.0.1:9000 RELOAD_MS=10 cargo run --release --example live_apply --features server`. Requests in
//! flight keep the snapshot they began with, so nothing is dropped; what did not change keeps its connections.
use std::net::SocketAddr;
use std::time::Duration;

use tollgate::model::{NodeSpec, RouteSpec, Snapshot, UpstreamSpec};
use tollgate::server::{Listener, Server};
use tollgate::{BoxError, Gateway};

fn snapshot(version: u64, upstream: SocketAddr) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let node = NodeSpec::host(upstream.ip().to_string().as_str(), upstream.port());
    snapshot.upstreams.push(UpstreamSpec::new("backend", [node]));
    snapshot.routes.push(RouteSpec { upstream_id: Some("backend".into()), ..RouteSpec::new("all", "/*") });
    // A route that comes and goes.
    let extra = RouteSpec::new("extra", format!("/only-in-version-{}", version % 2));
    snapshot.routes.push(RouteSpec { upstream_id: Some("backend".into()), ..extra });
    snapshot
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let upstream: SocketAddr = variable("UPSTREAM", "127.0.0.1:9000").parse()?;
    let pause = Duration::from_millis(variable("RELOAD_MS", "1000").parse()?);
    let gateway = Gateway::builder().build()?;
    gateway.apply(snapshot(0, upstream))?;

    let (updated, told) = (gateway.clone(), gateway.clone());
    let updates = async move {
        for version in 1.. {
            if pause.is_zero() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pause).await;
            if let Err(error) = updated.apply(snapshot(version, upstream)) {
                eprintln!("{error}");
            }
        }
    };
    let server = Server::builder().serve(move |client| gateway.connection(client));
    let listen = Listener::new(variable("LISTEN", "127.0.0.1:8080").parse()?);
    println!("listening on http://{}", server.listen(listen)?);
    tokio::select! {
        stop = tokio::signal::ctrl_c() => stop?,
        () = updates => {}
    }
    server.drain(Duration::from_secs(10)).await;
    println!("applied {} snapshots", told.status().revision);
    Ok(())
}
