//! The gateway as the fallback of an axum app: own routes first, everything else goes through the gateway.
//!
//! `cargo run --example axum_fallback --features axum`, then
//! `curl 127.0.0.1:8080/own` and `curl 127.0.0.1:8080/api/hello`.
use std::convert::Infallible;
use std::net::SocketAddr;

use axum::routing::get;
use http::{Request, Response};
use tollgate::gateway::Route;
use tollgate::model::NodeSpec;
use tollgate::{Body, BoxError, Gateway};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Any tower service can be an endpoint of an upstream, beside network endpoints and under the same balancer.
    let hello = tower::service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(Response::new(format!("{} in process\n", request.uri().path())))
    });
    let gateway = Gateway::builder()
        .endpoint("hello", hello)
        .route(Route::new("/api/*").to_nodes([NodeSpec::service("hello")]))
        .build()?;

    let app = axum::Router::new().route("/own", get(|| async { "axum's own route\n" })).fallback_service(gateway);
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // The connect info tells the gateway who the client is.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}
