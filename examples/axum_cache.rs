//! A cache without a gateway: an axum app whose slow page is made once in ten seconds, however many ask for it.
//!
//! `cargo run --example axum_cache --features axum,cache`, then twice `curl -i 127.0.0.1:8080/`: the second answer comes at once
//! and says `apisix-cache-status: HIT`. `curl -X PURGE 127.0.0.1:8080/` takes it out.
use std::net::SocketAddr;
use std::time::Duration;

use axum::routing::get;
use tollgate::BoxError;
use tollgate::cache::Zone;
use tollgate::model::{ByteSize, CacheZoneSpec};
use tollgate::plugins::proxy_cache::{ProxyCache, ProxyCacheConfig, ProxyCacheLayer};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let zone = Zone::new(CacheZoneSpec::memory("pages", ByteSize(64 << 20)));
    let mut config = ProxyCacheConfig::memory();
    config.cache_ttl = Some(10);
    let cache = ProxyCacheLayer::of(ProxyCache::new(config, zone)?);

    let slow = || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        "made with care\n"
    };
    // around the router, not a route: it answers PURGE, which no route has
    let app = axum::Router::new().route("/", get(slow));
    let app = axum::Router::new().fallback_service(tower::Layer::layer(&cache, app));

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}
