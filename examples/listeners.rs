//! Listeners that are added, changed and removed while the server serves; connections of others notice nothing.
//!
//! `cargo run --example listeners --features server`, then `curl 127.0.0.1:8080`; Ctrl-C ends it in good order.
use std::time::Duration;

use http::{Request, Response};
use tollgate::server::{Drain, Limits, Listener, ProxyProtocol, Server};
use tollgate::{Body, BoxError, ConnectInfo, Next};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Any tower service will do; one is made for each connection.
    let server = Server::builder().limits(Limits::default()).serve(|client: ConnectInfo| {
        Next::from_fn(move |_: Request<Body>| {
            let peer = client.peer;
            async move { Response::new(Body::from(format!("hello, {peer}\n"))) }
        })
    });
    let free = || Listener::new(([127, 0, 0, 1], 0).into());

    let first = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned()).parse()?;
    server.listen(Listener::new(first))?;
    println!("one listener: http://{first}");

    // The wanted set, as a whole: the first stays as it is, the second is new.
    let applied = server.apply(vec![Listener::new(first), free()]);
    println!("one more: {:?}", applied.opened);

    // The very same socket, with another option for connections from now on.
    let behind_a_balancer = Listener::new(first).with_proxy_protocol(ProxyProtocol::default());
    let applied = server.apply(vec![behind_a_balancer]);
    println!("changed: {:?}, closed: {:?}", applied.changed, applied.closed);

    // What cannot be had is named; the rest applies, and what is missing can be tried again.
    let elsewhere = Listener::new(([192, 0, 2, 1], 80).into());
    let applied = server.apply(vec![Listener::new(first), elsewhere]);
    for error in &applied.failed {
        println!("{error}");
    }
    for one in server.listeners() {
        println!("{}: {} connections, error: {:?}", one.listener.address, one.connections, one.error);
    }

    tokio::signal::ctrl_c().await?;
    // Probes for readiness ask `server.drain_handle().has_begun()`.
    server.drain_with(Drain::within(Duration::from_secs(30)).with_grace(Duration::from_millis(100))).await;
    println!("drained");
    Ok(())
}
