//! The Admin API in an axum app, over a store in memory: routes of the gateway come and go while it runs.
//!
//! `cargo run --example admin_api --features admin,axum`, then, with the key that it prints,
//! `curl -X PUT 127.0.0.1:8080/apisix/admin/routes/hi -H "X-API-KEY: $KEY" -d '{"uri": "/hi", "upstream": {"nodes": [{"service": "hello", "weight": 1}]}}'`
//! and `curl 127.0.0.1:8080/hi`. `ADMIN_KEY` sets the key.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::routing::get;
use http::{Request, Response};
use tollgate::admin::{AdminApi, AuditLog};
use tollgate::model::{AdminKey, AdminRole, AdminSettings};
use tollgate::store::{MemoryStore, Mirror, MirrorOptions};
use tollgate::{Body, BoxError, Gateway};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let hello = tower::service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(Response::new(format!("{} in process\n", request.uri().path())))
    });
    let gateway = Gateway::builder().endpoint("hello", hello).build()?;

    // One look at the store for everybody: the gateway follows it, the Admin API reads it and writes to its store.
    let mirror = Mirror::start(Arc::new(MemoryStore::new()), MirrorOptions::default());
    let (follower, source) = (gateway.clone(), mirror.source());
    tokio::spawn(async move { follower.follow(source, |event| println!("{event:?}")).await });

    // There is no default key: without one the Admin API is not built.
    let key = std::env::var("ADMIN_KEY").or_else(|_| random_key())?;
    println!("the key of the Admin API: {key}");
    let keys = vec![AdminKey { name: "operator".to_owned(), key: key.into(), role: AdminRole::Admin }];
    let admin = AdminApi::builder(mirror, Some(gateway.clone()))
        .settings(AdminSettings { keys, ..AdminSettings::default() })
        .audit(AuditLog::to(std::io::stdout())?)
        .build()?;

    let app = axum::Router::new()
        .route("/", get(|| async { "axum's own route\n" }))
        .route_service("/apisix/admin", admin.clone())
        .route_service("/apisix/admin/{*path}", admin)
        .fallback_service(gateway);
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // The connect info tells the Admin API who the client is: only this machine is let in.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}

/// 128 random bits.
fn random_key() -> Result<String, BoxError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
