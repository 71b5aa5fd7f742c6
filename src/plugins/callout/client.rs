//! The client.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::names::Names;
use super::places::Places;
use super::{CalloutConfig, CalloutError};
use crate::BoxError;

/// Makes connections.
pub(super) type Plain = HttpConnector<Names>;
#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<Plain>;
#[cfg(not(feature = "tls"))]
type Connector = Plain;

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
pub struct Callout(pub(super) Arc<Inner>);

pub(super) struct Inner {
    client: Client<Connector, Full<Bytes>>,
    timeout: Duration,
    max_body: usize,
    places: Places,
}

/// Calls that are over within one time-out, all together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls<'c> {
    callout: &'c Callout,
    until: Instant,
}

impl Calls<'_> {
    /// As [`Callout::send`], until the time of all is over.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CalloutError> {
        self.callout.send_until(request, self.until).await
    }
}

impl Callout {
    /// Longest head of an answer; a longer one is an error.
    const MAX_HEAD: usize = 64 * 1024;

    /// A client without any connection yet.
    ///
    /// # Errors
    /// [`CalloutError::Tls`] when TLS cannot be set up.
    pub fn new(config: CalloutConfig) -> Result<Self, CalloutError> {
        let mut http = Plain::new_with_resolver(Names::default());
        http.set_nodelay(true);
        // A service with several addresses may have one that is silent: the next one must have its turn within the call. The
        // client gives each of them its part of this.
        http.set_connect_timeout((!config.timeout.is_zero()).then(|| config.timeout * 2 / 3));
        http.enforce_http(!cfg!(feature = "tls"));
        #[cfg(feature = "tls")]
        let http = super::tls::connector(http, config.ssl_verify).map_err(|error| CalloutError::Tls(error.into()))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.keepalive_timeout)
            .pool_max_idle_per_host(if config.keepalive { config.keepalive_pool } else { 0 })
            .http1_max_buf_size(Self::MAX_HEAD)
            .build(http);
        let places = Places::new(config.max_calls);
        Ok(Self(Arc::new(Inner { client, timeout: config.timeout, max_body: config.max_body, places })))
    }

    /// Sends one request with an absolute URI and takes the whole answer, whatever its status. `Host` and the framing are
    /// written by the client; a redirect is an answer like any other.
    ///
    /// # Errors
    /// [`CalloutError`], when there is no whole answer in time.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CalloutError> {
        self.calls().send(request).await
    }

    /// Several calls, the time of which begins now and is that of one.
    pub(crate) fn calls(&self) -> Calls<'_> {
        Calls { callout: self, until: Instant::now() + self.0.timeout }
    }

    async fn send_until(&self, request: Request<Bytes>, until: Instant) -> Result<Response<Bytes>, CalloutError> {
        if cfg!(not(feature = "tls")) && request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            return Err(CalloutError::NoTls);
        }
        let inner = &*self.0;
        let places = request.uri().authority().map(|service| inner.places.of(service));
        let _place = match &places {
            None => None,
            Some(places) => {
                let place = tokio::time::timeout_at(until, places.acquire()).await;
                // nobody closes the places
                place.map_err(|_| CalloutError::Busy(inner.timeout))?.ok()
            }
        };
        let exchange = tokio::time::timeout_at(until, inner.exchange(request));
        exchange.await.unwrap_or(Err(CalloutError::Timeout(inner.timeout)))
    }
}

impl Inner {
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
        f.debug_struct("Callout").field("timeout", &self.0.timeout).field("max_body", &self.0.max_body).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

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
    /// A service that answers nothing and tells of connections: one that comes, one that is gone.
    async fn silence() -> (String, mpsc::UnboundedReceiver<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = tell.send(true);
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {}
                    let _ = tell.send(false);
                });
            }
        });
        (uri, told)
    }

    #[tokio::test]
    async fn a_service_that_hangs_holds_so_many_connections_and_no_more() {
        let (uri, mut told) = silence().await;
        let callout = Callout::new(CalloutConfig { max_calls: 1, ..CalloutConfig::default() }).unwrap();
        let soon = || Calls { callout: &callout, until: Instant::now() + Duration::from_millis(20) };
        let mut hanging = Box::pin(callout.send(get(&uri)));
        tokio::select! {
            _ = &mut hanging => panic!("there was an answer"),
            came = told.recv() => assert_eq!(came, Some(true)),
        }
        let waiting = soon().send(get(&uri)).await;
        assert!(matches!(waiting, Err(CalloutError::Busy(_))), "{waiting:?}");
        assert!(told.try_recv().is_err(), "it did not connect");
        let (other, _) = service("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert!(callout.send(get(&other)).await.is_ok(), "places are a service's own");
        drop(hanging);
        let next = soon().send(get(&uri)).await;
        assert!(matches!(next, Err(CalloutError::Timeout(_))), "the place is free again: {next:?}");
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_closes_its_connection() {
        let (uri, mut told) = silence().await;
        let callout = Callout::new(CalloutConfig::default()).unwrap();
        let mut call = Box::pin(callout.send(get(&uri)));
        tokio::select! {
            _ = &mut call => panic!("there was an answer"),
            came = told.recv() => assert_eq!(came, Some(true)),
        }
        drop(call);
        assert_eq!(told.recv().await, Some(false));
    }

    #[tokio::test]
    async fn calls_that_belong_together_share_one_time_out() {
        let (uri, _told) = silence().await;
        let callout = Callout::new(CalloutConfig { timeout: Duration::ZERO, ..CalloutConfig::default() }).unwrap();
        let calls = callout.calls();
        for _ in 0..2 {
            assert!(matches!(calls.send(get(&uri)).await, Err(CalloutError::Timeout(_))));
        }
    }
}
