//! A plugin without a gateway: an axum app that only requests reach which its OpenAPI document allows.
//!
//! `cargo run --example axum_oas_validator --features axum,validation`, then
//! `curl -i 127.0.0.1:8080/pets -d '{"name": 7}' -H 'content-type: application/json'`: it is answered with 400 and what does
//! not fit.
use axum::Json;
use axum::routing::get;
use serde_json::{Value, json};
use tollgate::BoxError;
use tollgate::plugins::oas_validator::{OasValidator, OasValidatorConfig, OasValidatorLayer};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let document = json!({
        "openapi": "3.1.0",
        "paths": {"/pets": {
            "get": {"parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}]},
            "post": {"requestBody": {"required": true, "content": {"application/json": {"schema": {
                "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}},
            }}}}},
        }},
    });
    let mut config = OasValidatorConfig::default();
    config.spec = Some(document.to_string());
    config.verbose_errors = true;

    let pets =
        get(|| async { "every pet\n" }).post(|Json(pet): Json<Value>| async move { format!("welcome, {pet}\n") });
    let app = axum::Router::new()
        .route("/pets", pets)
        // around all routes: what the document does not name is not reached
        .layer(OasValidatorLayer::of(OasValidator::new(config)?));

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
