//! The table of certificates in a server of your own: axum behind tokio-rustls, with a certificate that is replaced every second
//! while it serves.
//!
//! `cargo run --example tls_server --features axum,tls`, then, a few times,
//! `curl -vk --resolve example.test:8443:127.0.0.1 https://example.test:8443/ 2>&1 | grep 'expire date'`.
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tollgate::BoxError;
use tollgate::tls::{Certificate, Certificates, Pair, ServerTls};

/// A certificate like any other but for its last day, and for nobody who vouches for it.
fn certificate(year: i32) -> Result<Arc<Certificate>, BoxError> {
    let mut params = CertificateParams::new(vec!["example.test".to_owned()])?;
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate()?;
    let pair = Pair::from_pem(&params.self_signed(&key)?.pem(), &key.serialize_pem())?;
    Ok(Certificate::builder("example").name("example.test").pair(pair).build()?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let certificates = Certificates::new();
    certificates.put(certificate(2100)?);

    // Whoever has the table changes it; the next handshake sees it, and no connection ends.
    let table = certificates.clone();
    tokio::spawn(async move {
        for year in 2101.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match certificate(year) {
                Ok(certificate) => table.put(certificate),
                Err(error) => return eprintln!("{error}"),
            }
        }
    });

    // Clients that ask for no name get what those get that ask for this one.
    let tls = ServerTls::new(certificates.clone()).with_fallback_sni("example.test");
    let acceptor = tls.acceptor(&[b"h2", b"http/1.1"])?;
    let service = TowerToHyperService::new(Router::new().route("/", get(|| async { "over TLS\n" })));
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8443".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on https://{}", listener.local_addr()?);
    // One future for the whole loop: a signal that comes between two of them would be lost.
    let mut stopped = pin!(tokio::signal::ctrl_c());
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = &mut stopped => return Ok(()),
        };
        let (acceptor, service) = (acceptor.clone(), service.clone());
        tokio::spawn(async move {
            // The hello is read first, so that a certificate is shown under its own rules, of versions or clients, if it has any.
            let handshake = async {
                let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
                let config = acceptor.config_for(&hello.client_hello())?;
                Ok::<_, BoxError>(hello.into_stream(config).await?)
            };
            // A client that only connects is no client.
            let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(10), handshake).await else { return };
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}
