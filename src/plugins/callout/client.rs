//! The client.
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{CalloutConfig, CalloutError};
use crate::BoxError;

#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;

/// A client of HTTP services with a pool of its own. A clone shares the pool; the last one that is dropped closes it.
///
/// ```
/// use tollgate::plugins::callout::{Callout, CalloutConfig};
///
/// let callout = Callout::new(CalloutConfig::default())?;
/// # let _ = |request: http::Request<bytes::Bytes>| async move {
/// let answer: http::Response<bytes::Bytes> = callout.send(request).await?;
/// # Ok::<_, tollgate::plugins::callout::CalloutError>(answer) };
/// # Ok::<(), tollgate::plugins::callout::CalloutError>(())
/// ```
#[derive(Clone)]
pub struct Callout {
    client: Client<Connector, Full<Bytes>>,
    timeout: Duration,
    max_body: usize,
}

impl Callout {
    /// Longest head of an answer; a longer one is an error.
    const MAX_HEAD: usize = 64 * 1024;

    /// A client without any connection yet.
    ///
    /// # Errors
    /// [`CalloutError::Tls`] when TLS cannot be set up.
    pub fn new(config: CalloutConfig) -> Result<Self, CalloutError> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(!cfg!(feature = "tls"));
        #[cfg(feature = "tls")]
        let http = super::tls::connector(http, config.ssl_verify).map_err(|error| CalloutError::Tls(error.into()))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.keepalive_timeout)
            .pool_max_idle_per_host(if config.keepalive { config.keepalive_pool } else { 0 })
            .http1_max_buf_size(Self::MAX_HEAD)
            .build(http);
        Ok(Self { client, timeout: config.timeout, max_body: config.max_body })
    }

    /// Sends one request with an absolute URI and takes the whole answer, whatever its status. `Host` and the framing are
    /// written by the client; a redirect is an answer like any other.
    ///
    /// # Errors
    /// [`CalloutError`], when there is no whole answer in time.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CalloutError> {
        if cfg!(not(feature = "tls")) && request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            return Err(CalloutError::NoTls);
        }
        let exchange = tokio::time::timeout(self.timeout, self.exchange(request));
        exchange.await.unwrap_or(Err(CalloutError::Timeout(self.timeout)))
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CalloutError> {
        let answer = self.client.request(request.map(Full::new)).await.map_err(|error| match error.is_connect() {
            true => CalloutError::Connect(error.into()),
            false => self.broken(error.into()),
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.max_body).collect().await.map_err(|error| self.broken(error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    fn broken(&self, error: BoxError) -> CalloutError {
        if error.is::<LengthLimitError>() {
            return CalloutError::TooLong(self.max_body);
        }
        let error_chain =
            std::iter::successors(Some(&*error as &(dyn std::error::Error + 'static)), |error| error.source());
        let mut hyper_errors = error_chain.filter_map(|error| error.downcast_ref::<hyper::Error>());
        match hyper_errors.any(hyper::Error::is_parse) {
            true => CalloutError::Malformed(error),
            false => CalloutError::Exchange(error),
        }
    }
}

impl fmt::Debug for Callout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callout").field("timeout", &self.timeout).field("max_body", &self.max_body).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Answers every request head with `answer` as it is; counts connections.
    async fn service(answer: &'static str) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream, answer));
            }
        });
        (uri, connections)
    }

    async fn serve(mut stream: TcpStream, answer: &'static str) {
        let mut seen = Vec::new();
        while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {
            if seen.ends_with(b"\r\n\r\n") {
                seen.clear();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    fn get(uri: &str) -> Request<Bytes> {
        Request::get(uri).body(Bytes::new()).unwrap()
    }

    #[tokio::test]
    async fn connections_are_used_again_unless_keepalive_is_off() {
        for (keepalive, expected) in [(true, 1), (false, 3)] {
            let (uri, connections) = service("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 2\r\n\r\nok").await;
            let callout = Callout::new(CalloutConfig { keepalive, ..CalloutConfig::default() }).unwrap();
            for _ in 0..3 {
                let answer = callout.send(get(&uri)).await.unwrap();
                assert_eq!((answer.status().as_u16(), &answer.body()[..]), (302, &b"ok"[..]));
            }
            assert_eq!(connections.load(SeqCst), expected);
        }
    }

    #[tokio::test]
    async fn long_answers_are_refused() {
        let callout = Callout::new(CalloutConfig { max_body: 2, ..CalloutConfig::default() }).unwrap();
        for long in [
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        ] {
            let (uri, _) = service(long).await;
            assert!(matches!(callout.send(get(&uri)).await, Err(CalloutError::TooLong(2))));
        }
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_or_talks_nonsense_is_an_error() {
        let callout = Callout::new(CalloutConfig::default()).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let answer = callout.send(get(&format!("http://{free}/"))).await;
        assert!(matches!(answer, Err(CalloutError::Connect(_))), "{answer:?}");
        let (uri, _) = service("SMTP hello\r\n\r\n").await;
        assert!(matches!(callout.send(get(&uri)).await, Err(CalloutError::Malformed(_))));
    }

    #[tokio::test]
    async fn a_silent_service_costs_the_timeout_and_no_more() {
        let timeout = Duration::from_millis(30);
        let callout = Callout::new(CalloutConfig { timeout, ..CalloutConfig::default() }).unwrap();
        // one is silent at once, the other in the midst of its body
        for silent in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"] {
            let (uri, _) = service(silent).await;
            assert!(matches!(callout.send(get(&uri)).await, Err(CalloutError::Timeout(_))));
        }
    }
}
