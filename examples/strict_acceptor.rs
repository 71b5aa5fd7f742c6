//! Your own accept loop and your own axum app, with our strict HTTP/1, its limits and clocks in front; behind a balancer that may
//! say by a PROXY header whose connection it is.
//!
//! `cargo run --example strict_acceptor --features axum,server`, then `curl 127.0.0.1:8080`, and
//! `curl --haproxy-protocol 127.0.0.1:8080`. A request that is read in two ways is refused:
//! `curl -d x -H 'Transfer-Encoding: chunked' -H 'Content-Length: 1' 127.0.0.1:8080`. Ctrl-C ends it in good order.
use std::pin::pin;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use tokio::task::JoinSet;
use tollgate::server::{Limits, Listener, ProxyProtocol, StrictAcceptor};
use tollgate::{BoxError, ConnectInfo, Next};

async fn hello(Extension(client): Extension<ConnectInfo>) -> String {
    match client.proxy() {
        Some(proxy) => format!("hello, {} by {}\n", client.peer.ip(), proxy.ip()),
        None => format!("hello, {}\n", client.peer.ip()),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let app = Router::new().route("/", get(hello));
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let socket = tokio::net::TcpListener::bind(address).await?;
    let listener = Listener::new(socket.local_addr()?);
    println!("listening on http://{}", listener.address);
    // `with_tls` as well, where connections are to be decrypted here.
    let listener = listener.with_proxy_protocol(ProxyProtocol::default().with_optional(true));
    let acceptor = StrictAcceptor::for_listener(&listener, Limits::default())?;

    let mut connections = JoinSet::new();
    // One future for the whole loop: a signal that comes between two of them would be lost.
    let mut stopped = pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            accepted = socket.accept() => {
                let app = app.clone();
                let service = |client| Next::new(app.layer(Extension::<ConnectInfo>(client)));
                connections.spawn(acceptor.serve_with(accepted?.0, service));
            }
            // Those that have ended are not kept.
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(socket);
    acceptor.begin_drain();
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(30), all).await.is_err() {
        println!("{} are cut", acceptor.connections());
    }
    Ok(())
}
