//! One upstream without a gateway: a tower service that balances, checks health and tries again, in a server of your own.
//!
//! `cargo run --example upstream_service --features axum`, then `curl -i 127.0.0.1:8080/`: two endpoints answer in turn.
//! After `curl 127.0.0.1:8080/stop` the first one is gone, and no request fails. `curl 127.0.0.1:8080/status` tells what is
//! known of them.
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::task::AbortHandle;
use tollgate::upstream::health::{ActiveConfig, HealthConfig};
use tollgate::upstream::{Endpoints, NodeConfig, Target, UpstreamConfig, UpstreamKey, UpstreamService, Upstreams};
use tollgate::{Body, BoxError};
use tower::ServiceExt as _;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (one, stop) = endpoint("one").await?;
    let (two, _) = endpoint("two").await?;

    let nodes = [one, two].map(|at| NodeConfig::new(Target::host(at.ip().to_string(), at.port())));
    let mut config = UpstreamConfig::new(UpstreamKey::new("upstream", "pets"), nodes.into());
    // Each endpoint is asked for `GET /` every 200 ms, and is out after two refused connections.
    let interval = Duration::from_millis(200);
    let probes = ActiveConfig { healthy_interval: interval, unhealthy_interval: interval, ..ActiveConfig::default() };
    config.health = Some(HealthConfig::new().with_active(probes));
    // Keeps connections and health over changes: compile the key once more with other nodes, and what stays goes on.
    let upstreams = Upstreams::new();
    let upstream = upstreams.compile(config, &Endpoints::new())?;
    // Probes begin now; without this call with the first request.
    upstreams.keep_up();

    let known = upstream.clone();
    let app = Router::new()
        .route("/status", get(move || async move { format!("{:#?}\n", known.endpoints().collect::<Vec<_>>()) }))
        .route("/stop", get(move || async move { stop.abort() }))
        .fallback(forward)
        .with_state(UpstreamService::new(upstream));
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stopped = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await?;
    Ok(())
}

/// Sends a request on. Whatever an endpoint answers is a response; an error says that there was none.
async fn forward(State(pets): State<UpstreamService>, request: Request) -> Response {
    match pets.oneshot(request.map(Body::new)).await {
        Ok(response) => response.map(axum::body::Body::new),
        Err(error) => (error.status(), format!("{error}\n")).into_response(),
    }
}

/// Something to forward to.
async fn endpoint(name: &'static str) -> Result<(SocketAddr, AbortHandle), BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let app = Router::new().fallback(move || async move { format!("hello from {name}\n") });
    let serve = tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((at, serve.abort_handle()))
}
