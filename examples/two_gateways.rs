//! Two gateways in one process: each has its own routes, pools and settings, and neither knows of the other.
//!
//! `cargo run --example two_gateways --features server`, then `curl 127.0.0.1:8080/` and `curl 127.0.0.1:8081/`.
use std::convert::Infallible;

use http::{Request, Response};
use tollgate::gateway::{Gateway, Route};
use tollgate::model::NodeSpec;
use tollgate::server::Server;
use tollgate::{Body, BoxError};

fn gateway(name: &'static str) -> Result<Gateway, BoxError> {
    let answer = tower::service_fn(move |_: Request<Body>| async move {
        Ok::<_, Infallible>(Response::new(format!("the {name} gateway\n")))
    });
    let gateway = Gateway::builder()
        .endpoint("answer", answer)
        .route(Route::new("/*").to_nodes([NodeSpec::service("answer", 1)]))
        .build()?;
    Ok(gateway)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let first: std::net::SocketAddr = listen.parse()?;
    let second = std::net::SocketAddr::new(first.ip(), first.port() + 1);
    let (public, internal) = (gateway("public")?, gateway("internal")?);

    println!("listening on http://{first} and http://{second}");
    let stop = || async { drop(tokio::signal::ctrl_c().await) };
    tokio::join!(
        Server::bind(first)?.serve(move |info| public.connection(info), stop()),
        Server::bind(second)?.serve(move |info| internal.connection(info), stop()),
    );
    Ok(())
}
