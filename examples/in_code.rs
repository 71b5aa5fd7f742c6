//! A gateway composed wholly in code, with a custom tower layer on one route.
//!
//! `cargo run --example in_code --features server`, then `curl -i 127.0.0.1:8080/plain` and
//! `curl -i 127.0.0.1:8080/timed`.
use std::convert::Infallible;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response};
use tollgate::gateway::Route;
use tollgate::model::NodeSpec;
use tollgate::server::{Listener, Server};
use tollgate::{Body, BoxError, Gateway, Next};
use tower::{Service, ServiceBuilder, ServiceExt as _, layer::layer_fn};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let echo = tower::service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(Response::new(format!("{} {}\n", request.method(), request.uri())))
    });
    // A layer of our own, written as tower users write them: it tells how long the answer took.
    let timed = layer_fn(|inner: Next| {
        tower::service_fn(move |request: Request<Body>| {
            let mut inner = inner.clone();
            async move {
                let begun = Instant::now();
                let mut response = inner.ready().await?.call(request).await?;
                let took = HeaderValue::from_str(&format!("{} us", begun.elapsed().as_micros()));
                response.headers_mut().extend(took.ok().map(|took| (http::HeaderName::from_static("x-took"), took)));
                Ok::<_, Infallible>(response)
            }
        })
    });
    let gateway = Gateway::builder()
        .endpoint("echo", echo)
        .route(Route::new("/plain").to_nodes([NodeSpec::service("echo")]))
        .route(
            Route::new("/timed")
                // tower's own layers fit unchanged; the outermost is written first.
                .layer(ServiceBuilder::new().concurrency_limit(64).layer(timed).into_inner())
                .to_nodes([NodeSpec::service("echo")]),
        )
        .build()?;

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let server = Server::builder().serve(move |client| gateway.connection(client));
    println!("listening on http://{}", server.listen(Listener::new(listen.parse()?))?);
    tokio::signal::ctrl_c().await?;
    server.drain(Duration::from_secs(10)).await;
    Ok(())
}
