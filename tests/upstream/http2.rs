//! HTTP/2 to endpoints of scheme `grpc`.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tollgate::upstream::{Scheme, Timeouts};
use tollgate::{Body, BodyError};

use crate::support::*;

type Parts = Vec<Result<Frame<Bytes>, BodyError>>;

/// An HTTP/2 origin, gone when it is dropped.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers by `handler`, with so many streams a connection.
    async fn start<F, Fut>(streams: u32, handler: F) -> Self
    where
        F: Fn(http::Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = http::Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count.fetch_add(1, SeqCst);
                let handler = handler.clone();
                let service = hyper::service::service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                server.max_concurrent_streams(streams);
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, connections, task }
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

fn grpc(address: SocketAddr) -> Client {
    let mut config = config(&[address]);
    config.scheme = Scheme::Grpc;
    Client::new(config)
}

fn trailers(name: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(name, HeaderValue::from_static("0"));
    trailers
}

fn streaming(parts: Parts) -> Body {
    Body::stream(StreamBody::new(futures_util::stream::iter(parts)))
}

#[tokio::test]
async fn a_call_goes_out_and_back_with_trailers_both_ways() {
    let server = Server::start(10, |request: http::Request<Incoming>| async move {
        let head = format!("{} {} {:?}", request.method(), request.uri(), request.version());
        let te = request.headers().get("te").cloned();
        let host = request.headers().contains_key("host");
        let body = request.into_body().collect().await.unwrap();
        let sent = body.trailers().is_some_and(|trailers| trailers.contains_key("x-sent"));
        let text = format!("{head} {te:?} {host} {sent} {:?}", body.to_bytes());
        let parts = vec![Ok(Frame::data(text.into())), Ok(Frame::trailers(trailers("grpc-status")))];
        http::Response::new(streaming(parts))
    })
    .await;
    let client = grpc(server.address);
    let parts = vec![Ok(Frame::data("abc".into())), Ok(Frame::trailers(trailers("x-sent")))];
    let mut call = request("POST", "/pkg.Service/Call?q", streaming(parts));
    call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    call.headers_mut().insert("connection", HeaderValue::from_static("keep-alive"));
    call.headers_mut().insert("content-length", HeaderValue::from_static("999"));
    let answer = client.send(call).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(
        answer.to_bytes(),
        "POST http://client.test/pkg.Service/Call?q HTTP/2.0 Some(\"trailers\") false true b\"abc\""
    );
    assert_eq!(client.upstream.active_requests(), 0);
}

#[tokio::test]
async fn requests_share_a_connection_until_its_streams_run_out() {
    let all = Arc::new(Barrier::new(6));
    let server = Server::start(2, move |_| {
        let all = Arc::clone(&all);
        async move {
            // Only if all six are here at the same time, anyone is answered.
            all.wait().await;
            http::Response::new(Body::from("together"))
        }
    })
    .await;
    let client = grpc(server.address);
    for ended in futures_util::future::join_all((0..6).map(|_| client.get("/"))).await {
        assert_eq!(ended.unwrap().1, "together");
    }
    assert_eq!(server.connections(), 3);
    for ended in futures_util::future::join_all((0..6).map(|_| client.get("/"))).await {
        ended.unwrap();
    }
    assert_eq!(server.connections(), 3, "connections are used again");
}

#[tokio::test]
async fn ten_mebibytes_are_echoed() {
    let server = Server::start(10, |request: http::Request<Incoming>| async move {
        http::Response::new(Body::from(request.into_body()))
    })
    .await;
    let client = grpc(server.address);
    let sent: Vec<u8> = (0..10_485_760u32).map(|at| (at % 251) as u8).collect();
    let response = client.send(request("POST", "/", sent.clone())).await.unwrap();
    assert!(response.into_body().collect().await.unwrap().to_bytes() == sent, "echo differs");
}

/// Runs `script` for each connection of an origin that speaks frames.
async fn frames<F, Fut>(script: F) -> Origin
where
    F: Fn(usize, h2::server::Connection<tokio::net::TcpStream, Bytes>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Origin::start(move |conn| {
        let script = script.clone();
        async move {
            let index = conn.index;
            script(index, h2::server::handshake(conn.stream).await.unwrap()).await;
        }
    })
    .await
}

#[tokio::test]
async fn sec_ret_01_a_refused_stream_may_be_sent_again_whatever_the_method() {
    let bad = frames(|_, mut connection| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
    })
    .await;
    let good = Server::start(10, |_| async { http::Response::new(Body::from("good")) }).await;
    let mut config = config(&[bad.address, good.address]);
    config.scheme = Scheme::Grpc;
    let client = Client::new(config);
    for _ in 0..4 {
        let response = client.send(request("POST", "/", "small")).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "good");
    }
}

#[tokio::test]
async fn sec_ret_01_a_stream_that_was_looked_at_is_not_sent_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let script = move |_, mut connection: h2::server::Connection<tokio::net::TcpStream, Bytes>| {
        let count = Arc::clone(&count);
        async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                count.fetch_add(1, SeqCst);
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
            }
        }
    };
    let (one, two) = (frames(script.clone()).await, frames(script).await);
    let mut config = config(&[one.address, two.address]);
    config.scheme = Scheme::Grpc;
    let error = Client::new(config).send(request("POST", "/", "once")).await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("http2_failed", 502));
    assert_eq!(seen.load(SeqCst), 1);
}

#[tokio::test]
async fn after_a_goaway_a_new_connection_is_opened() {
    let origin = frames(|_, mut connection| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data("bye".into(), true).unwrap();
            connection.graceful_shutdown();
        }
    })
    .await;
    let client = grpc(origin.address);
    for round in 1..=3 {
        assert_eq!(client.get("/").await.unwrap().1, "bye");
        assert_eq!(origin.connections(), round);
        client.idle(0).await;
    }
}

/// One frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[tokio::test]
async fn sec_ret_02_a_connection_that_goes_away_as_it_is_used_again_is_invisible() {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let origin = Origin::start(|mut conn| async move {
        // Answers its first stream, and takes leave when the second one comes.
        conn.take(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()).await.unwrap();
        conn.send(frame(SETTINGS, 0, 0, &[])).await;
        while let Some(head) = conn.take(9).await {
            conn.take(usize::from(head[1]) << 8 | usize::from(head[2])).await.unwrap();
            match (head[3], head[8]) {
                (HEADERS, 1) => conn.send(frame(HEADERS, 0x5, 1, &[0x88])).await,
                (HEADERS, _) => return conn.send(frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])).await,
                (SETTINGS, _) if head[4] == 0 => conn.send(frame(SETTINGS, 1, 0, &[])).await,
                _ => {}
            }
        }
    })
    .await;
    let client = grpc(origin.address);
    for round in 1..=5 {
        let response = client.send(request("POST", "/", "small")).await.unwrap();
        assert_eq!((response.status().as_u16(), origin.connections()), (200, round));
    }
}

#[tokio::test]
async fn sec_up_03_a_body_that_is_reset_is_cut() {
    let origin = frames(|_, mut connection| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data("part".into(), false).unwrap();
            body.send_reset(h2::Reason::INTERNAL_ERROR);
        }
    })
    .await;
    let client = grpc(origin.address);
    let cut = match client.send(request("GET", "/", Body::empty())).await {
        Ok(response) => text(response).await.is_err(),
        Err(error) => error.reason() == "http2_failed",
    };
    assert!(cut);
    assert_eq!(client.upstream.active_requests(), 0);
}

#[tokio::test]
async fn an_origin_of_http_1_is_told_apart_before_a_request_is_sent() {
    let origin = Origin::answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let error = grpc(origin.address).send(request("POST", "/", "x")).await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("http2_failed", 502));
}

fn impatient(address: SocketAddr) -> Client {
    let mut config = config(&[address]);
    config.scheme = Scheme::Grpc;
    let short = Duration::from_millis(200);
    config.timeouts = Timeouts { connect: short, send: short, read: short, total: None };
    Client::new(config)
}

#[tokio::test]
async fn sec_up_09_silence_is_a_504_and_a_gap_cuts() {
    let server = Server::start(10, |request: http::Request<Incoming>| async move {
        if request.uri().path() == "/gap" {
            let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from("ab")))]);
            let silence = futures_util::stream::pending();
            use futures_util::StreamExt as _;
            return http::Response::new(Body::stream(StreamBody::new(first.chain(silence))));
        }
        std::future::pending().await
    })
    .await;
    let client = impatient(server.address);
    assert_eq!(client.get("/").await.unwrap_err().reason(), "read_timeout");
    let mut body = client.send(request("GET", "/gap", Body::empty())).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert!(matches!(body.frame().await.unwrap().unwrap_err(), BodyError::Timeout));
    assert_eq!(server.connections(), 1, "only the streams are over");
    assert_eq!(client.upstream.active_requests(), 0);
    let mute = Origin::start(|mut conn| async move { conn.closed().await }).await;
    assert_eq!(impatient(mute.address).get("/").await.unwrap_err().reason(), "connect_timeout");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_has_all_of_its_time_once_it_has_the_request() {
    let server = Server::start(10, |request: http::Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        tokio::time::sleep(Duration::from_secs(20)).await;
        http::Response::new(Body::from(body))
    })
    .await;
    // Fifty seconds of the client's and twenty of the endpoint's are more than the sixty of `timeouts.read`.
    let frames = futures_util::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        (sent < 5).then(|| (Ok::<_, BodyError>(Frame::data(Bytes::from("x"))), sent + 1))
    });
    let began = tokio::time::Instant::now();
    let call = request("POST", "/", Body::stream(StreamBody::new(Box::pin(frames))));
    let response = grpc(server.address).upstream.send(call, Default::default()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await.unwrap(), "xxxxx");
    assert!(began.elapsed() >= Duration::from_secs(70), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_goes_away_resets_its_stream() {
    let (began, gone) = (Gate::default(), Gate::default());
    let (begun, left) = (began.clone(), gone.clone());
    let origin = frames(move |_, mut connection| {
        let (began, gone) = (began.clone(), gone.clone());
        async move {
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            tokio::spawn(async move { while connection.accept().await.is_some() {} });
            began.open();
            assert_eq!(std::future::poll_fn(|cx| respond.poll_reset(cx)).await.unwrap(), h2::Reason::CANCEL);
            gone.open();
        }
    })
    .await;
    let client = grpc(origin.address);
    tokio::select! {
        _ = client.send(request("GET", "/", Body::empty())) => panic!("nobody answered"),
        () = begun.pass() => {}
    }
    left.pass().await;
    assert_eq!((client.upstream.active_requests(), origin.connections()), (0, 1));
}

/// Sends so many `103` before its answer.
async fn hinting(hints: usize) -> Origin {
    frames(move |_, mut connection| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            for hint in 0..hints {
                let early =
                    http::Response::builder().status(103).header("link", format!("</{hint}>")).body(()).unwrap();
                respond.send_informational(early).unwrap();
            }
            respond.send_response(http::Response::new(()), true).unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn sec_up_08_early_hints_come_before_the_answer() {
    let origin = hinting(3).await;
    let seen = std::sync::Mutex::new(Vec::new());
    let tell = |early: http::Response<()>| {
        seen.lock().unwrap().push((early.status().as_u16(), early.headers()["link"].clone()))
    };
    let context = tollgate::upstream::ForwardContext { interim: Some(&tell), ..Default::default() };
    let response = grpc(origin.address).forward(request("GET", "/", Body::empty()), context).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = seen.lock().unwrap();
    assert_eq!(
        *seen,
        [(103, "</0>"), (103, "</1>"), (103, "</2>")].map(|(status, link)| (status, HeaderValue::from_static(link)))
    );
}

#[tokio::test]
async fn sec_up_02_interim_answers_without_end_are_a_502() {
    let error = grpc(hinting(17).await.address).get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("malformed_response", 502), "{error}");
}

#[tokio::test]
async fn a_client_that_does_not_read_may_still_send() {
    // The origin answers at once with more than fits any window, and takes the request meanwhile.
    let server = Server::start(10, |request: http::Request<Incoming>| async move {
        let (sender, taken) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { sender.send(request.into_body().collect().await.unwrap().to_bytes().len()) });
        let first = futures_util::stream::once(async { Ok(Frame::data(Bytes::from(vec![0; 4 << 20]))) });
        let then = futures_util::stream::once(async { Ok(Frame::data(taken.await.unwrap().to_string().into())) });
        http::Response::new(Body::stream(StreamBody::new(futures_util::StreamExt::chain(first, then))))
    })
    .await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (Ok::<_, BodyError>(frame), receiver))
    });
    let call = request("POST", "/", Body::stream(StreamBody::new(frames)));
    let client = grpc(server.address);
    let response = client.send(call).await.unwrap();
    for _ in 0..32 {
        let sent = sender.send(Frame::data(Bytes::from(vec![1; 64 << 10])));
        tokio::time::timeout(PATIENCE, sent).await.expect("room for the request").unwrap();
    }
    drop(sender);
    let whole = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&whole[4 << 20..], b"2097152");
}
