//! An origin of raw bytes: it records all that it gets, and answers by a script.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::is_gone;
use super::strict::{self, Message};
use super::{End, text, within};

/// What the origin does next on a connection. Behind the last step it reads on, until the other side ends the connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Reads one whole request, body included.
    Request,
    /// Reads up to and with these bytes; `Until(b"\r\n\r\n".to_vec())` is a head.
    Until(Vec<u8>),
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Does nothing for so long: for origins that are slow.
    Pause(Duration),
    /// Closes the sending half, and reads on.
    Finish,
    /// Closes.
    Close,
    /// Closes with a reset.
    Reset,
    /// Begins with the first step again.
    Again,
}

impl Step {
    pub(crate) fn send(bytes: impl AsRef<[u8]>) -> Self {
        Self::Send(bytes.as_ref().to_vec())
    }

    pub(crate) fn until(bytes: impl AsRef<[u8]>) -> Self {
        Self::Until(bytes.as_ref().to_vec())
    }
}

/// One connection as the origin saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    /// How the other side ended it; `None` while it is open, or when the script closed it first.
    pub(crate) end: Option<End>,
}

/// Ends with the value.
pub(crate) struct Origin {
    address: SocketAddr,
    seen: watch::Receiver<Vec<Seen>>,
    accepting: JoinHandle<()>,
}

type Script = dyn Fn(usize) -> Vec<Step> + Send + Sync;

impl Origin {
    /// The steps of the first connection (0), the second (1), and so on.
    pub(crate) async fn scripted(script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (record, seen) = watch::channel(Vec::new());
        let accepting = tokio::spawn(accept(listener, Arc::new(script), Arc::new(record)));
        Self { address, seen, accepting }
    }

    /// The same answer to each request.
    pub(crate) async fn answering(answer: impl AsRef<[u8]>) -> Self {
        let steps = vec![Step::Request, Step::send(answer), Step::Again];
        Self::scripted(move |_| steps.clone()).await
    }

    /// 200 with this text to each request.
    pub(crate) async fn saying(body: &str) -> Self {
        Self::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All connections so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until what it saw is as the test wants it.
    pub(crate) async fn wait(&self, mut wanted: impl FnMut(&[Seen]) -> bool) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        let what =
            || format!("the origin; it saw {:?}", self.seen().iter().map(|one| text(&one.bytes)).collect::<Vec<_>>());
        within(what, async move { seen.wait_for(|seen| wanted(seen)).await.unwrap().clone() }).await
    }

    /// Waits for the end of a connection by the other side.
    pub(crate) async fn end_of(&self, connection: usize) -> End {
        let seen = self.wait(|seen| seen.get(connection).is_some_and(|one| one.end.is_some())).await;
        seen[connection].end.unwrap()
    }

    /// The requests of all connections, in the order of the connections. Fails the test when anything else came.
    pub(crate) fn requests(&self) -> Vec<Message> {
        let read = |one: &Seen| match strict::requests(&one.bytes) {
            Ok(messages) => messages,
            Err(fault) => panic!("the origin got more than whole requests: {fault}\n{}", text(&one.bytes)),
        };
        self.seen().iter().flat_map(read).collect()
    }

    /// The one request that came. Fails the test when it was not one.
    pub(crate) fn request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests at the origin: {requests:?}");
        requests.remove(0)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, script: Arc<Script>, record: Arc<watch::Sender<Vec<Seen>>>) {
    // dropped with this task, and the connections with it
    let mut connections = tokio::task::JoinSet::new();
    for index in 0.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        stream.set_nodelay(true).unwrap();
        record.send_modify(|seen| seen.push(Seen::default()));
        let connection = Connection { stream, index, taken: 0, record: Arc::clone(&record) };
        connections.spawn(connection.run(script(index)));
    }
}

struct Connection {
    stream: TcpStream,
    index: usize,
    /// Bytes of the record that earlier steps have taken.
    taken: usize,
    record: Arc<watch::Sender<Vec<Seen>>>,
}

impl Connection {
    async fn run(mut self, steps: Vec<Step>) {
        let mut next = 0;
        while let Some(step) = steps.get(next) {
            next += 1;
            let goes_on = match step {
                Step::Request => {
                    self.take(|bytes| strict::request(bytes).map(|found| found.map(|(_, used)| used))).await
                }
                Step::Until(pattern) => {
                    let end = |bytes: &[u8]| bytes.windows(pattern.len()).position(|window| window == pattern);
                    self.take(|bytes| Ok(end(bytes).map(|at| at + pattern.len()))).await
                }
                Step::Pause(time) => {
                    tokio::time::sleep(*time).await;
                    true
                }
                Step::Send(bytes) => self.stream.write_all(bytes).await.is_ok(),
                Step::Finish => self.stream.shutdown().await.is_ok(),
                Step::Close => return,
                Step::Reset => {
                    self.stream.set_zero_linger().unwrap();
                    return;
                }
                Step::Again => {
                    next = 0;
                    true
                }
            };
            if !goes_on {
                break;
            }
        }
        while self.read().await {}
    }

    /// Reads until `length` finds what it looks for; `false` when it cannot, or the other side ended.
    async fn take(&mut self, length: impl Fn(&[u8]) -> Result<Option<usize>, strict::Fault>) -> bool {
        loop {
            let found = length(&self.record.borrow()[self.index].bytes[self.taken..]);
            match found {
                Ok(Some(used)) => {
                    self.taken += used;
                    return true;
                }
                // the record shows what came: the test judges it
                Err(_) => return false,
                Ok(None) if !self.read().await => return false,
                Ok(None) => {}
            }
        }
    }

    /// Reads once into the record; `false` at the end.
    async fn read(&mut self) -> bool {
        let mut chunk = Vec::with_capacity(16 << 10);
        let read = self.stream.read_buf(&mut chunk).await;
        let end = match read {
            Ok(0) => Some(End::Closed),
            Ok(_) => None,
            Err(error) if is_gone(error.kind()) => Some(End::Reset),
            Err(error) => panic!("the origin cannot read: {error}"),
        };
        self.record.send_modify(|seen| {
            let one = &mut seen[self.index];
            one.bytes.append(&mut chunk);
            one.end = one.end.or(end);
        });
        end.is_none()
    }
}
