//! Certificates by ACME in a program of its own: axum on port 80, our TLS in front of the same router.
//!
//! `cargo run --example acme --features acme,axum,server -- FOLDER NAME...` with names that lead to this machine, and
//! `DIRECTORY` for another authority than the staging one of Let's Encrypt. It listens on ports 80 and 443, or with
//! `LISTEN=127.0.0.1:8080` there and one port above.
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::routing::get;
use tollgate::acme::Issuer;
use tollgate::server::{Listener, Server};
use tollgate::tls::{Certificate, Certificates, ServerTls};
use tollgate::{BoxError, ConnectInfo, Next};

/// Its certificates are for trying out: clients do not know their root.
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Where to listen: without TLS, and with it.
fn addresses() -> Result<(SocketAddr, SocketAddr), BoxError> {
    let Ok(listen) = std::env::var("LISTEN") else {
        return Ok((SocketAddr::from(([0, 0, 0, 0], 80)), SocketAddr::from(([0, 0, 0, 0], 443))));
    };
    let plain: SocketAddr = listen.parse()?;
    Ok((plain, SocketAddr::new(plain.ip(), plain.port().saturating_add(1))))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(|| std::env::temp_dir().join("tollgate-acme"), PathBuf::from);
    let names: Vec<_> = arguments.collect();
    let names = if names.is_empty() { vec!["localhost".to_owned()] } else { names };
    let builder = names.into_iter().fold(Certificate::builder("site"), |builder, name| builder.name(name));
    let certificates = Certificates::new();
    certificates.put(builder.issued().build()?);

    let directory = std::env::var("DIRECTORY").unwrap_or_else(|_| STAGING.to_owned());
    let issuer = Issuer::builder(directory).terms_agreed(true).folder(folder).build()?;
    issuer.load(&certificates);

    let site = Router::new().route("/", get(|| async { "hello\n" }));
    // Outermost, so that the authority is answered whatever the router says.
    let plain = site.clone().layer(issuer.layer());
    let (http, https) = addresses()?;
    let http = tokio::net::TcpListener::bind(http).await?;
    println!("http on {}", http.local_addr()?);

    let site = Next::new(site);
    let server = Server::builder().serve(move |_: ConnectInfo| site.clone());
    let tls = ServerTls::new(certificates.clone());
    println!("https on {}", server.listen(Listener::new(https).with_tls(tls))?);

    tokio::select! {
        served = async { axum::serve(http, plain).await } => served?,
        () = issuer.run(certificates) => {}
        ended = tokio::signal::ctrl_c() => ended?,
    }
    Ok(())
}
