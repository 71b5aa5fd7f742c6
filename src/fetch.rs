//! Questions of our own to authorities: a time limit, a limit of what an answer may have, no redirects.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::BoxError;

/// A client for a few questions a day. A clone shares its connections.
#[derive(Clone)]
pub(crate) struct Fetch {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    patience: Duration,
    most: usize,
}

/// Whom a [`Fetch`] believes and asks.
pub(crate) struct Reach {
    /// Roots to verify `https` against, as PEM, instead of the system's.
    pub(crate) roots: Option<String>,
    /// Whether `http` is asked as well.
    pub(crate) plain: bool,
    /// How long a whole exchange may take.
    pub(crate) patience: Duration,
    /// Most bytes of an answer's body.
    pub(crate) most: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no whole answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("the answer has more than {0} bytes")]
    Long(usize),
    #[error("{}", chain(&**.0))]
    Broken(BoxError),
}

/// An error with its causes, each once: hyper's own text is only that there is one.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

impl Fetch {
    /// # Errors
    /// Says what is wrong with the roots.
    pub(crate) fn new(reach: Reach) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?;
        let config = config.with_root_certificates(roots(reach.roots.as_deref())?).with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config);
        let connector = if reach.plain { connector.https_or_http() } else { connector.https_only() };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .http1_max_buf_size(64 * 1024)
            .build(connector.enable_http1().wrap_connector(http));
        Ok(Self { client, patience: reach.patience, most: reach.most })
    }

    /// Sends one request with an absolute URI and takes the whole answer, whatever its status.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, FetchError> {
        let exchange = tokio::time::timeout(self.patience, self.exchange(request));
        exchange.await.unwrap_or(Err(FetchError::Late(self.patience)))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, FetchError> {
        let answer = self.client.request(request).await.map_err(|error| FetchError::Broken(error.into()))?;
        let (head, body) = answer.into_parts();
        let body =
            Limited::new(body, self.most).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
                true => FetchError::Long(self.most),
                false => FetchError::Broken(error),
            })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// The given roots, or the system's. A system without roots trusts nobody.
fn roots(pem: Option<&str>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = pem else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("is no certificate: {error}"))?;
    }
    if roots.is_empty() { Err("has no certificate".to_owned()) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn fetch(patience: Duration) -> Fetch {
        Fetch::new(Reach { roots: None, plain: true, patience, most: 4 }).unwrap()
    }

    /// Answers one connection with `answer` as it is, and keeps it open.
    async fn server(answer: &'static str) -> Request<Full<Bytes>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // What comes before the question is no answer to it.
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            while stream.read(&mut [0; 1024]).await.unwrap_or(0) > 0 {}
        });
        Request::get(format!("http://{address}/")).body(Full::default()).unwrap()
    }

    #[tokio::test]
    async fn sec_ssrf_03_an_answer_is_taken_whatever_its_status_and_a_redirect_is_not_followed() {
        let fetch = fetch(Duration::from_secs(30));
        let request =
            server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nok").await;
        let answer = fetch.send(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (302, &b"ok"[..]));
    }

    #[tokio::test]
    async fn sec_ssrf_03_long_and_slow_answers_and_none_are_errors() {
        let fetch = fetch(Duration::from_millis(300));
        let long = fetch.send(server("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde").await).await;
        assert!(matches!(long, Err(FetchError::Long(4))), "{long:?}");
        for silent in ["", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na"] {
            let late = fetch.send(server(silent).await).await;
            assert!(matches!(late, Err(FetchError::Late(_))), "{late:?}");
        }
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let refused = fetch.send(Request::get(format!("http://{nobody}/")).body(Full::default()).unwrap()).await;
        assert!(refused.unwrap_err().to_string().contains("refused"));
    }

    #[test]
    fn roots_are_judged() {
        for (pem, fault) in [
            ("", "has no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is no certificate"),
        ] {
            let reach = Reach { roots: Some(pem.to_owned()), plain: false, patience: Duration::ZERO, most: 0 };
            let found = Fetch::new(reach).err().unwrap();
            assert!(found.starts_with(fault), "{found}");
        }
    }
}
