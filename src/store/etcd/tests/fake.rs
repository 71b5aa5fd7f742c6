//! A server of etcd's protocol that serves a [`Model`], and lies now and then.
//!
//! It never lies twice in a row about what there is: a lie that a second read confirms is the truth to every client.
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::super::message::{
    RangeRequest, RangeResponse, ResponseHeader, StatusResponse, WatchRequest, WatchResponse, watch_request,
};
use super::model::{Dice, Model};

const WATCH_ID: i64 = 0;

pub(super) struct Fake {
    pub(super) model: Model,
    /// Whether it is of a version whose answers about progress come behind the events that they are about.
    is_ordered: bool,
    /// So many questions about progress it does not hear, as real ones do not while a watch catches up.
    pub(super) deaf: AtomicU32,
    lies: Mutex<Lies>,
}

struct Lies {
    dice: Dice,
    /// Of so many answers one is a lie; 0: none is.
    one_in: usize,
    lied: bool,
    told: u32,
}

impl Fake {
    /// Serves on a port of its own until the tasks are dropped. Odd seeds make one that orders its answers about
    /// progress.
    pub(super) async fn start(seed: u64) -> (Arc<Self>, u16, JoinSet<()>) {
        let lies = Lies { dice: Dice::new(seed), one_in: 4, lied: false, told: 0 };
        let (is_ordered, deaf) = (!seed.is_multiple_of(2), AtomicU32::new(2));
        let fake = Arc::new(Self { model: Model::new(), is_ordered, deaf, lies: Mutex::new(lies) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        let served = Arc::clone(&fake);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let fake = Arc::clone(&served);
                connections.spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    let mut calls = JoinSet::new();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        calls.spawn(serve(Arc::clone(&fake), request, respond));
                        // A lie may be that the connection ends.
                        while let Some(ended) = calls.try_join_next() {
                            if ended.unwrap().is_none() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        (fake, port, tasks)
    }

    /// From now on it tells the truth.
    pub(super) fn be_honest(&self) {
        self.lies.lock().unwrap().one_in = 0;
    }

    /// How many lies it told.
    pub(super) fn lies(&self) -> u32 {
        self.lies.lock().unwrap().told
    }

    /// Which of so many lies to tell, if any.
    fn lie(&self, kinds: usize) -> Option<usize> {
        let mut lies = self.lies.lock().unwrap();
        let one_in = lies.one_in;
        let lie = !lies.lied && one_in > 0 && lies.dice.roll(one_in) == 0;
        lies.lied = lie;
        lies.told += u32::from(lie);
        lie.then(|| lies.dice.roll(kinds))
    }

    fn header(revision: i64) -> Option<ResponseHeader> {
        Some(ResponseHeader { cluster_id: 7, revision, raft_term: 2 })
    }

    /// The truth about a range; `now` is the newest revision that it knows of.
    fn range(&self, request: &RangeRequest, now: i64) -> RangeResponse {
        let revision = if request.revision > 0 { request.revision } else { now };
        let all: Vec<_> = self.model.at(revision).into_values().collect();
        let inside = all.into_iter().filter(|kv| kv.key >= request.key && kv.key < request.range_end);
        let mut kvs: Vec<_> = inside.collect();
        let count = i64::try_from(kvs.len()).unwrap();
        let limit = usize::try_from(request.limit).unwrap();
        let more = limit > 0 && kvs.len() > limit;
        kvs.truncate(if request.count_only {
            0
        } else if more {
            limit
        } else {
            kvs.len()
        });
        RangeResponse { header: Self::header(now), kvs, more, count }
    }

    /// `None` when there is to be no answer.
    fn answer(&self, request: &RangeRequest) -> Option<RangeResponse> {
        let now = self.model.now();
        let mut answer = self.range(request, now);
        match self.lie(7) {
            None => {}
            Some(0) => answer.kvs.truncate(answer.kvs.len() / 2),
            Some(1) => answer = RangeResponse { header: Self::header(now), ..RangeResponse::default() },
            Some(2) if request.revision == 0 => answer = self.range(request, (now - 3).max(1)),
            Some(3) => {
                let first = answer.kvs.first().cloned();
                answer.kvs.extend(first);
            }
            Some(4) => answer.kvs.reverse(),
            Some(5) => answer.header = None,
            Some(_) => return None,
        }
        Some(answer)
    }
}

/// Serves one call; `None` when the connection is to end.
async fn serve(fake: Arc<Fake>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<()> {
    let path = request.uri().path().to_owned();
    let mut incoming = Incoming { body: request.into_body(), bytes: BytesMut::new() };
    let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(response, false).ok()?;
    match path.rsplit('/').next() {
        Some("Status") => {
            let version = if fake.is_ordered { "3.5.8" } else { "3.5.1" }.to_owned();
            let raft_index = fake.model.now().unsigned_abs();
            send(&mut stream, &StatusResponse { version, leader: 1, raft_index })?;
        }
        Some("Range") => {
            let request: RangeRequest = incoming.message().await?;
            match fake.answer(&request) {
                Some(answer) => send(&mut stream, &answer)?,
                // Half an answer, and then nothing.
                None if fake.lies().is_multiple_of(2) => {
                    stream.send_data(Bytes::from_static(b"\0\0\0\0\xff\x0a"), false).ok()?;
                    return None;
                }
                // Nothing at all.
                None => std::future::pending().await,
            }
        }
        Some("Watch") => watch(&fake, &mut incoming, &mut stream).await?,
        other => panic!("{other:?} is not served"),
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    stream.send_trailers(trailers).ok()
}

/// The stream of a watch.
async fn watch(fake: &Fake, incoming: &mut Incoming, stream: &mut SendStream<Bytes>) -> Option<()> {
    let request: WatchRequest = incoming.message().await?;
    let Some(watch_request::RequestUnion::Create(create)) = request.request_union else { panic!("no watch") };
    let mut changed = fake.model.revision.subscribe();
    let reply =
        |revision| WatchResponse { header: Fake::header(revision), watch_id: WATCH_ID, ..WatchResponse::default() };
    send(stream, &WatchResponse { created: true, ..reply(fake.model.now()) })?;
    let mut next = create.start_revision;
    loop {
        if next > fake.model.now() {
            tokio::select! {
                asked = incoming.message::<WatchRequest>() => {
                    asked?;
                    if fake.is_ordered && fake.deaf.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                        continue;
                    }
                    // Before 3.5.8, it may be about what was not told yet.
                    let told = if fake.is_ordered { next - 1 } else { fake.model.now() };
                    send(stream, &WatchResponse { watch_id: -1, ..reply(told) })?;
                }
                changed = changed.wait_for(|now| *now >= next) => drop(changed.unwrap()),
            }
            continue;
        }
        let events = fake.model.events(next);
        if events.is_empty() {
            next += 1;
            continue;
        }
        let told = WatchResponse { events: events.clone(), ..reply(next) };
        match fake.lie(9) {
            None => send(stream, &told)?,
            // What was told comes again.
            Some(0) => {
                send(stream, &told)?;
                send(stream, &told)?;
            }
            // Two revisions in the wrong order.
            Some(1) if next < fake.model.now() => {
                let later = fake.model.events(next + 1);
                send(stream, &WatchResponse { events: [later, events].concat(), ..reply(next + 1) })?;
                next += 1;
            }
            // A part, and no rest.
            Some(2) => {
                let part = events.into_iter().take(1).collect();
                send(stream, &WatchResponse { events: part, fragment: true, ..reply(next) })?;
                return Some(());
            }
            // No lie: all parts.
            Some(3) => {
                let last = events.len() - 1;
                for (place, event) in events.into_iter().enumerate() {
                    send(stream, &WatchResponse { events: vec![event], fragment: place < last, ..reply(next) })?;
                }
            }
            Some(4) => {
                send(stream, &WatchResponse { canceled: true, compact_revision: next + 1, ..reply(next) })?;
                return Some(());
            }
            // Word that all was told, which it was not where answers have no order; as an answer to a question that
            // nobody asked.
            Some(5) => {
                let so_far = if fake.is_ordered { next - 1 } else { fake.model.now() };
                send(stream, &WatchResponse { watch_id: -1, ..reply(so_far) })?;
                send(stream, &told)?;
            }
            // It goes silent, but for answers about how far it is.
            Some(6) => loop {
                incoming.message::<WatchRequest>().await?;
                send(stream, &WatchResponse { watch_id: -1, ..reply(next - 1) })?;
            },
            Some(7) => {
                stream.send_data(Bytes::from_static(b"\0\0\0\0\x03\xff\xff\xff"), false).ok()?;
                return Some(());
            }
            Some(_) => return None,
        }
        next += 1;
    }
}

/// The messages of a call.
struct Incoming {
    body: RecvStream,
    bytes: BytesMut,
}

impl Incoming {
    /// `None` behind the last. May be given up at any time.
    async fn message<M: Message + Default>(&mut self) -> Option<M> {
        loop {
            if let Some(head) = self.bytes.get(..5) {
                let length = u32::from_be_bytes(head[1..5].try_into().unwrap()) as usize;
                if self.bytes.len() >= 5 + length {
                    self.bytes.advance(5);
                    return Some(M::decode(self.bytes.split_to(length)).unwrap());
                }
            }
            let data = poll_fn(|cx| self.body.poll_data(cx)).await?.ok()?;
            let _ = self.body.flow_control().release_capacity(data.len());
            self.bytes.extend_from_slice(&data);
        }
    }
}

fn send(stream: &mut SendStream<Bytes>, message: &impl Message) -> Option<()> {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    stream.send_data(bytes.freeze(), false).ok()
}
