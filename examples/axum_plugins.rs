//! Plugins without a gateway: an axum app whose callers are known by a key and may ask so often.
//!
//! `cargo run --example axum_plugins --features axum`, then
//! `curl -i 127.0.0.1:8080/ -H 'apikey: key-of-acme'`: the fourth time in a minute is answered with 429.
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::routing::get;
use tollgate::model::ConsumerSpec;
use tollgate::plugin::{AuthPlugin as _, GateLayer};
use tollgate::plugins::key_auth::{KeyAuth, KeyAuthConfig, KeyAuthCredential, KeyAuthPlugin};
use tollgate::plugins::limit_count::{LimitCountConfig, LimitCountLayer};
use tollgate::request::Consumers;
use tollgate::{BoxError, Consumer};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut consumers = Consumers::builder();
    for (name, key) in [("acme", "key-of-acme"), ("bolt", "key-of-bolt")] {
        let consumer = Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() });
        consumers = consumers.consumer(&consumer, [KeyAuthPlugin.to_credential(KeyAuthCredential::new(key))?])?;
    }
    let mut limit = LimitCountConfig::new(3, 60);
    limit.key = "consumer_name".to_owned();
    limit.rejected_code = 429;

    let plugins = ServiceBuilder::new()
        // outermost: who calls decides which counter is charged
        .layer(GateLayer::of(KeyAuth::new(KeyAuthConfig::default(), Arc::new(consumers.build()))?))
        .layer(LimitCountLayer::new(limit)?);
    let hello = |Extension(consumer): Extension<Consumer>| async move { format!("Hello, {}!\n", consumer.name()) };
    let app = axum::Router::new().route("/", get(hello)).layer(plugins);

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}
