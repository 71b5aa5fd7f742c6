//! `https` by rustls on AWS-LC.
use std::sync::Arc;

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, ConfigBuilder, Error, RootCertStore, WantsVerifier};

use super::client::Plain;
use crate::upstream::AnyCertificate;

/// Puts TLS around connections to `https` services.
///
/// # Errors
/// When rustls and its provider do not fit together.
pub(super) fn connector(http: Plain, verify: bool) -> Result<HttpsConnector<Plain>, Error> {
    Ok(around(http, if verify { verified(start()?) } else { unverified(start()?) }))
}

/// How a client of TLS services behaves: with the system's roots and the service's name, or without any verification.
///
/// # Errors
/// When rustls and its provider do not fit together.
#[cfg(feature = "ldap")]
pub(crate) fn client(verify: bool) -> Result<ClientConfig, Error> {
    Ok(if verify { verified(start()?) } else { unverified(start()?) }.with_no_client_auth())
}

fn around(http: Plain, config: ConfigBuilder<ClientConfig, WantsClientCert>) -> HttpsConnector<Plain> {
    let config = config.with_no_client_auth();
    HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(http)
}

/// The provider is named, never taken from the process: a host may have installed another one, or none.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn start() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}

/// A system without roots trusts nobody: plain services go on, `https` ones fail.
fn verified(config: ConfigBuilder<ClientConfig, WantsVerifier>) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let rootless = config.clone();
    config.with_native_roots().unwrap_or_else(|error| {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the system has no root certificates, so no service is trusted over TLS: install them (ca-certificates)"
        );
        #[cfg(not(feature = "tracing"))]
        let _ = error;
        rootless.with_root_certificates(RootCertStore::empty())
    })
}

/// `ssl_verify: false`.
fn unverified(config: ConfigBuilder<ClientConfig, WantsVerifier>) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};
    use hyper::service::service_fn;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::ServerConfig;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::names::Names;
    use super::*;

    /// An `https` service that answers `hello`, for the name `localhost`: its port and its certificate.
    async fn service() -> (u16, CertificateDer<'static>) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let hello =
                    service_fn(|_| async { Ok::<_, Error>(http::Response::new(Full::new(Bytes::from("hello")))) });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), hello).await;
            }
        });
        (port, cert.der().clone())
    }

    async fn get(connector: HttpsConnector<Plain>, uri: String) -> Option<Bytes> {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        let answer = client.get(uri.parse().unwrap()).await.ok()?;
        Some(answer.into_body().collect().await.unwrap().to_bytes())
    }

    fn plain() -> Plain {
        let mut http = Plain::new_with_resolver(Names::default());
        http.enforce_http(false);
        http
    }

    #[tokio::test]
    async fn a_certificate_is_believed_by_its_root_and_name_or_when_none_is_asked_for() {
        let (port, certificate) = service().await;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let own_root = || around(plain(), start().unwrap().with_root_certificates(roots.clone()));
        let (right, wrong) = (format!("https://localhost:{port}/"), format!("https://127.0.0.1:{port}/"));
        assert_eq!(get(own_root(), right.clone()).await.unwrap(), "hello");
        assert_eq!(get(own_root(), wrong.clone()).await, None, "the name differs");
        assert_eq!(get(connector(plain(), true).unwrap(), right).await, None, "the system does not know the root");
        assert_eq!(get(connector(plain(), false).unwrap(), wrong).await.unwrap(), "hello");
    }
}
