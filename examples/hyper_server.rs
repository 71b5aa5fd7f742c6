//! The gateway in a bare hyper server, towards one upstream.
//!
//! `UPSTREAM=127.0.0.1:9000 cargo run --example hyper_server --features hyper-server`, then `curl 127.0.0.1:8080/`.
use std::net::SocketAddr;
use std::pin::pin;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tollgate::gateway::Route;
use tollgate::model::NodeSpec;
use tollgate::{BoxError, ConnectInfo, Gateway};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let upstream: SocketAddr = variable("UPSTREAM", "127.0.0.1:9000").parse()?;
    let upstream = NodeSpec::host(upstream.ip().to_string().as_str(), upstream.port());
    let gateway = Gateway::builder().route(Route::new("/*").websocket(true).to_nodes([upstream])).build()?;

    let listener = tokio::net::TcpListener::bind(variable("LISTEN", "127.0.0.1:8080")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // One future for the whole loop: a signal that comes between two of them would be lost.
    let mut stopped = pin!(tokio::signal::ctrl_c());
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = &mut stopped => return Ok(()),
        };
        stream.set_nodelay(true)?;
        // One service per connection, which knows the client's address.
        let service = TowerToHyperService::new(gateway.connection(ConnectInfo::new(peer)));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades(),
        );
    }
}
