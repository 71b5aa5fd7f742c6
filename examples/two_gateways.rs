//! Two gateways in one process: each has its own routes, pools and settings, and neither knows of the other.
//!
//! `cargo run --example two_gateways --features server`, then `curl 127.0.0.1:8080/` and `curl 127.0.0.1:8081/`.
use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use tollgate::gateway::Route;
use tollgate::model::NodeSpec;
use tollgate::server::{Listener, Server};
use tollgate::{Body, BoxError, Gateway};

fn gateway(name: &'static str) -> Result<Gateway, BoxError> {
    let answer = tower::service_fn(move |_: Request<Body>| async move {
        Ok::<_, Infallible>(Response::new(format!("the {name} gateway\n")))
    });
    let gateway = Gateway::builder()
        .endpoint("answer", answer)
        .route(Route::new("/*").to_nodes([NodeSpec::service("answer")]))
        .build()?;
    Ok(gateway)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let first: std::net::SocketAddr = listen.parse()?;
    let second = std::net::SocketAddr::new(first.ip(), first.port() + 1);
    let (public, internal) = (gateway("public")?, gateway("internal")?);

    let public = Server::builder().serve(move |client| public.connection(client));
    let internal = Server::builder().serve(move |client| internal.connection(client));
    println!("public on http://{}", public.listen(Listener::new(first))?);
    println!("internal on http://{}", internal.listen(Listener::new(second))?);
    tokio::signal::ctrl_c().await?;
    tokio::join!(public.drain(Duration::from_secs(10)), internal.drain(Duration::from_secs(10)));
    Ok(())
}
