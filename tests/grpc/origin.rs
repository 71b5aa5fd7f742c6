//! A gRPC service on tonic, whose messages are raw bytes, and a channel to call it with.
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::{Stream, StreamExt as _, stream};
use http::uri::PathAndQuery;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tower::{Service, service_fn};

/// Messages as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// What became of calls.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Connections that were accepted.
    pub(crate) connections: AtomicUsize,
    /// Calls that are being served.
    pub(crate) running: AtomicUsize,
    /// The most that ever were.
    pub(crate) most: AtomicUsize,
    /// Calls that were cancelled before their end.
    pub(crate) cancelled: AtomicUsize,
}

/// Counts a call from its beginning to its end, or to when it is dropped.
struct Running(Arc<Seen>, bool);

impl Running {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.most.fetch_max(seen.running.fetch_add(1, SeqCst) + 1, SeqCst);
        Self(Arc::clone(seen), false)
    }

    fn ends(&mut self) {
        self.1 = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
        if !self.1 {
            self.0.cancelled.fetch_add(1, SeqCst);
        }
    }
}

/// The service `test.Echo`. Each answer has the `x-id` of its call.
///
/// | call | what it does |
/// |---|---|
/// | `Unary` | answers with the message |
/// | `Split` | one message for each byte of the message |
/// | `Twice` | the message, and once more |
/// | `Break` | the message, then the status 9 |
/// | `Join` | one message made of all |
/// | `Talk` | each message as it comes |
/// | `Fail` | the status that the message ends with as a number, with a message and a trailer |
/// | `Hang` | nothing, for ever |
/// | `Flood` | messages of the size that the message says, for ever |
/// | `Swallow` | reads all, and answers with how many bytes there were |
#[derive(Clone, Debug)]
struct Echo(Arc<Seen>);

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

fn with_id<T>(metadata: &MetadataMap, message: T) -> Response<T> {
    let mut response = Response::new(message);
    if let Some(id) = metadata.get("x-id") {
        response.metadata_mut().insert("x-id", id.clone());
    }
    response
}

impl Service<http::Request<tonic::body::Body>> for Echo {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let seen = Arc::clone(&self.0);
        let call = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let mut grpc = tonic::server::Grpc::new(Raw);
        Box::pin(async move {
            let mut running = Running::new(&seen);
            Ok(match &*call {
                "Unary" => {
                    let unary = service_fn(|request: Request<Bytes>| async {
                        let (metadata, _, message) = request.into_parts();
                        Ok::<_, Status>(with_id(&metadata, message))
                    });
                    let answer = grpc.unary(unary, request).await;
                    running.ends();
                    answer
                }
                "Fail" => {
                    let fail = service_fn(|request: Request<Bytes>| async {
                        let (metadata, _, message) = request.into_parts();
                        let code = message.rsplit(|byte| !byte.is_ascii_digit()).next().unwrap();
                        let code = std::str::from_utf8(code).unwrap().parse::<i32>().unwrap();
                        let mut trailers = MetadataMap::new();
                        trailers.insert("x-id", metadata.get("x-id").unwrap().clone());
                        Err::<Response<Bytes>, _>(Status::with_metadata(code.into(), "it fails: 50 % ü", trailers))
                    });
                    let answer = grpc.unary(fail, request).await;
                    running.ends();
                    answer
                }
                "Hang" => {
                    let hang = service_fn(|_: Request<Bytes>| std::future::pending::<Result<Response<Bytes>, _>>());
                    grpc.unary(hang, request).await
                }
                "Split" => {
                    let split = service_fn(|request: Request<Bytes>| async {
                        let (metadata, _, message) = request.into_parts();
                        let parts = (0..message.len()).map(move |at| Ok(message.slice(at..=at)));
                        Ok::<_, Status>(with_id(&metadata, Box::pin(stream::iter(parts)) as Messages))
                    });
                    let answer = grpc.server_streaming(split, request).await;
                    running.ends();
                    answer
                }
                "Twice" | "Break" => {
                    let breaks = call == "Break";
                    let repeat = service_fn(move |request: Request<Bytes>| async move {
                        let (metadata, _, message) = request.into_parts();
                        let last =
                            if breaks { Err(Status::failed_precondition("it broke")) } else { Ok(message.clone()) };
                        let messages = stream::iter([Ok(message), last]);
                        Ok::<_, Status>(with_id(&metadata, Box::pin(messages) as Messages))
                    });
                    let answer = grpc.server_streaming(repeat, request).await;
                    running.ends();
                    answer
                }
                "Flood" => {
                    let mut running = Some(running);
                    let flood = service_fn(move |request: Request<Bytes>| {
                        let running = running.take();
                        async move {
                            let (metadata, _, message) = request.into_parts();
                            let size = std::str::from_utf8(&message).unwrap().parse().unwrap();
                            let piece = Bytes::from(vec![7; size]);
                            // Lives for as long as the answer does.
                            let flood = stream::repeat_with(move || {
                                let _ = &running;
                                Ok(piece.clone())
                            });
                            Ok::<_, Status>(with_id(&metadata, Box::pin(flood) as Messages))
                        }
                    });
                    grpc.server_streaming(flood, request).await
                }
                "Join" | "Swallow" => {
                    let joins = call == "Join";
                    let join = service_fn(move |request: Request<Streaming<Bytes>>| async move {
                        let (metadata, _, mut messages) = request.into_parts();
                        let (mut all, mut length) = (Vec::new(), 0);
                        while let Some(message) = messages.message().await? {
                            length += message.len();
                            if joins {
                                all.extend_from_slice(&message);
                            }
                        }
                        let told = if joins { Bytes::from(all) } else { length.to_string().into() };
                        Ok::<_, Status>(with_id(&metadata, told))
                    });
                    let answer = grpc.client_streaming(join, request).await;
                    running.ends();
                    answer
                }
                "Talk" => {
                    let mut running = Some(running);
                    let talk = service_fn(move |request: Request<Streaming<Bytes>>| {
                        let mut running = running.take().unwrap();
                        async move {
                            let (metadata, _, messages) = request.into_parts();
                            let mut messages = messages.fuse();
                            let echo = stream::poll_fn(move |cx| {
                                let next = messages.poll_next_unpin(cx);
                                if matches!(next, Poll::Ready(None)) {
                                    running.ends();
                                }
                                next
                            });
                            Ok::<_, Status>(with_id(&metadata, Box::pin(echo) as Messages))
                        }
                    });
                    grpc.streaming(talk, request).await
                }
                _ => {
                    running.ends();
                    Status::unimplemented("there is no such call").into_http()
                }
            })
        })
    }
}

/// A server of that service; ends with the value.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    /// All that were accepted.
    sockets: Arc<Mutex<Vec<std::net::TcpStream>>>,
    task: JoinHandle<()>,
}

impl Origin {
    /// With 100 streams a connection, and connections of any age.
    pub(crate) async fn start() -> Self {
        Self::start_with(|server| server).await
    }

    pub(crate) async fn start_with(set: impl FnOnce(Server) -> Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let sockets = Arc::<Mutex<Vec<_>>>::default();
        let (counted, kept) = (Arc::clone(&seen), Arc::clone(&sockets));
        let incoming = stream::unfold(listener, move |listener| {
            let (counted, kept) = (Arc::clone(&counted), Arc::clone(&kept));
            async move {
                let (stream, _) = listener.accept().await.unwrap();
                counted.connections.fetch_add(1, SeqCst);
                stream.set_nodelay(true).unwrap();
                let socket = stream.into_std().unwrap();
                kept.lock().unwrap().push(socket.try_clone().unwrap());
                Some((TcpStream::from_std(socket), listener))
            }
        });
        let mut server = set(Server::builder().max_concurrent_streams(100));
        let service = server.add_service(Echo(Arc::clone(&seen)));
        let task = tokio::spawn(async move { service.serve_with_incoming(Box::pin(incoming)).await.unwrap() });
        Self { address, seen, sockets, task }
    }

    /// Goes away with all its connections.
    pub(crate) fn die(&self) {
        self.task.abort();
        for socket in self.sockets.lock().unwrap().iter() {
            // It may be gone already.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client of that service.
#[derive(Clone, Debug)]
pub(crate) struct Client(tonic::client::Grpc<Channel>);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect_timeout(Duration::from_secs(5)).connect().await.unwrap();
        Self(tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX))
    }

    /// The call, when the connection takes it.
    async fn ready(&mut self, call: &str) -> PathAndQuery {
        self.0.ready().await.unwrap();
        format!("/test.Echo/{call}").parse().unwrap()
    }

    pub(crate) async fn unary(
        &mut self,
        call: &str,
        id: u64,
        message: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, Status> {
        let path = self.ready(call).await;
        self.0.unary(request(id, message.into()), path, Raw).await
    }

    /// The same with a deadline.
    pub(crate) async fn unary_within(
        &mut self,
        call: &str,
        id: u64,
        message: impl Into<Bytes>,
        time: Duration,
    ) -> Result<Response<Bytes>, Status> {
        let path = self.ready(call).await;
        let mut request = request(id, message.into());
        request.set_timeout(time);
        self.0.unary(request, path, Raw).await
    }

    pub(crate) async fn server_streaming(
        &mut self,
        call: &str,
        id: u64,
        message: impl Into<Bytes>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        let path = self.ready(call).await;
        self.0.server_streaming(request(id, message.into()), path, Raw).await
    }

    pub(crate) async fn client_streaming(
        &mut self,
        call: &str,
        id: u64,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Response<Bytes>, Status> {
        let path = self.ready(call).await;
        self.0.client_streaming(request(id, messages), path, Raw).await
    }

    pub(crate) async fn streaming(
        &mut self,
        call: &str,
        id: u64,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        let path = self.ready(call).await;
        self.0.streaming(request(id, messages), path, Raw).await
    }
}

fn request<T>(id: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-id", id.into());
    request
}

/// The id that an answer, or the trailers of a status, belong to.
pub(crate) fn id(metadata: &MetadataMap) -> u64 {
    metadata.get("x-id").unwrap().to_str().unwrap().parse().unwrap()
}
