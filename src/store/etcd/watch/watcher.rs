//! The watch, kept going.
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::codec::Streaming;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::super::super::{News, StoreError};
use super::super::client::{Client, Connected, LIMIT, about};
use super::super::failure::{Failure, Meaning};
use super::super::message::{
    ResponseHeader, StatusRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse, watch_request,
};
use super::super::options::end_of;
use super::super::rpc::WATCH;
use super::super::same::Seen;
use super::assemble::{Assembler, Disorder};

/// The pause behind the second failure in a row; doubled with each one more, up to `resync_delay` if that is longer.
const SHORT: Duration = Duration::from_millis(100);
/// A question about progress is asked again after this time, for servers drop it while the watch catches up;
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// and so often.
const ASK_TIMES: u32 = 10;
/// A watch that lived as long as this was no failure.
const LIVED: Duration = Duration::from_secs(10);

/// A watch that begins anew, where it was, whenever it breaks.
pub(super) struct Watcher {
    client: Arc<Client>,
    assembler: Assembler,
    /// The store that is watched.
    store: Seen,
    /// How far its log was when the watch began last; 0: not known.
    index: u64,
    open: Option<Open>,
    /// Somebody wants to know how far the watch is.
    wanted: watch::Receiver<()>,
    ready: VecDeque<News>,
    /// Failures in a row.
    failures: u32,
    /// The log-in was renewed since the watch stood last, or since a failure of another kind.
    renewed: bool,
    /// A failure was told, and not yet that it is over.
    failed: bool,
    pause_until: Option<Instant>,
    over: bool,
}

/// A stream on which the watch was created.
struct Open {
    connected: Arc<Connected>,
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
    id: i64,
    since: Instant,
    /// When there was news last, or the store itself said that there is none.
    heard: Instant,
    /// How far the watch is was asked since.
    asked: bool,
    /// Somebody waits to hear how far it is.
    waiting: Option<Waiting>,
    /// The newest revision that the server knew of when it answered on this stream.
    alive_at: i64,
    /// A server that does not know of this revision by now is cut off.
    expected: i64,
}

/// How far the watch is was asked, and is asked again until it has come on.
#[derive(Clone, Copy)]
struct Waiting {
    again: Instant,
    left: u32,
    /// Where the watch was.
    next: i64,
}

/// Why the watch does not go on as it is.
enum Trouble {
    /// What happened since is not known: everything has to be read anew.
    Lost,
    /// It can be begun anew.
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        if failure.meaning() == Meaning::Compacted { Self::Lost } else { Self::Failed(failure) }
    }
}

impl From<Disorder> for Trouble {
    fn from(Disorder: Disorder) -> Self {
        Self::Lost
    }
}

impl Watcher {
    pub(super) fn new(client: Arc<Client>, from: u64) -> Self {
        Self {
            assembler: Assembler::new(&client.options.prefix, from),
            store: client.seen(),
            index: 0,
            wanted: client.ask.subscribe(),
            client,
            open: None,
            ready: VecDeque::new(),
            failures: 0,
            renewed: false,
            failed: false,
            pause_until: None,
            over: false,
        }
    }

    /// What comes next; `None` when nothing does any more. May be dropped at any time together with the watcher only.
    pub(super) async fn next(&mut self) -> Option<Result<News, StoreError>> {
        loop {
            if let Some(news) = self.ready.pop_front() {
                self.client.told.fetch_max(self.assembler.next() - 1, Relaxed);
                return Some(Ok(news));
            }
            if self.over {
                return None;
            }
            if let Some(until) = self.pause_until.take() {
                sleep_until(until).await;
            }
            match self.step().await {
                Ok(()) => {}
                Err(Trouble::Lost) => {
                    self.open = None;
                    self.over = true;
                    self.ready.clear();
                    return Some(Ok(News::Compacted));
                }
                Err(Trouble::Failed(failure)) => {
                    let lived = self.open.take().is_some_and(|open| open.since.elapsed() > LIVED);
                    self.assembler.restart();
                    self.failures = if lived { 1 } else { self.failures + 1 };
                    let is_logged_out = failure.meaning() == Meaning::LoggedOut;
                    if is_logged_out && !std::mem::replace(&mut self.renewed, true) {
                        continue;
                    }
                    // The next attempt may come so late that the new token has run out as well.
                    self.renewed = is_logged_out;
                    self.pause_until = self.pause(&failure);
                    self.failed = true;
                    return Some(Err(self.client.error(&failure)));
                }
            }
        }
    }

    /// Nothing behind the first failure: the next server may be well.
    fn pause(&self, failure: &Failure) -> Option<Instant> {
        let longest = self.client.options.resync_delay.max(SHORT);
        let pause = match (failure.meaning(), self.failures) {
            (Meaning::Down | Meaning::LoggedOut, 0 | 1) => Duration::ZERO,
            (Meaning::Down, failures) => SHORT.saturating_mul(1 << (failures - 2).min(16)).min(longest),
            _ => longest,
        };
        Some((Instant::now() + about(pause)).max(failure.again().unwrap_or_else(Instant::now)))
    }

    /// Waits for one thing to happen, and does what follows from it.
    async fn step(&mut self) -> Result<(), Trouble> {
        let Some(open) = &mut self.open else { return self.begin().await };
        let quiet = self.client.options.watch_timeout;
        // Halfway the watch is asked, at the end the store.
        let silent_at = open.heard + if open.asked { quiet } else { quiet / 2 };
        let next = self.assembler.next();
        open.waiting = open.waiting.filter(|waiting| waiting.next == next && waiting.left > 0);
        let until = open.waiting.map_or(silent_at, |waiting| waiting.again.min(silent_at));
        let heard = tokio::select! {
            // Who reads after a long time finds what came meanwhile: that is no silence.
            biased;
            answer = open.answers.message() => Some(answer),
            // The sender is the client's.
            Ok(()) = self.wanted.changed() => {
                open.waiting = Some(Waiting { again: Instant::now() + ASK_AGAIN, left: ASK_TIMES, next });
                open.ask();
                return Ok(());
            }
            () = sleep_until(until) => None,
        };
        match heard {
            None if until < silent_at => {
                if let Some(waiting) = &mut open.waiting {
                    *waiting = Waiting { again: Instant::now() + ASK_AGAIN, left: waiting.left - 1, next };
                }
                open.ask();
                Ok(())
            }
            None if open.asked => self.doubt().await,
            None => {
                open.asked = true;
                open.ask();
                Ok(())
            }
            Some(Ok(Some(answer))) => self.take(answer),
            Some(Ok(None)) => Err(self.broken(Status::unavailable("the server ended the watch"))),
            Some(Err(status)) => Err(self.broken(status)),
        }
    }

    /// The stream failed, and perhaps the connection with it.
    fn broken(&self, status: Status) -> Trouble {
        let failure = Failure::Said(status);
        if let Some(open) = self.open.as_ref().filter(|_| failure.meaning() == Meaning::Down) {
            self.client.give_up(&open.connected);
        }
        self.judged(failure)
    }

    /// A failure of the log-in is mended before the next attempt.
    fn judged(&self, failure: Failure) -> Trouble {
        let is_denied = matches!(&failure, Failure::Said(status) if status.message().contains("permission denied"));
        let is_nameless = failure.meaning() == Meaning::Nameless;
        // A watch whose token is not known any more hears of missing rights, in 3.4 and 3.5.
        if (is_denied || is_nameless) && !self.renewed && self.client.log_out() {
            return Trouble::Failed(Failure::Said(Status::unauthenticated("etcdserver: invalid auth token")));
        }
        if failure.meaning() == Meaning::LoggedOut {
            self.client.log_out();
        }
        failure.into()
    }

    /// Begins a watch, and makes sure that the store is the one that was watched before.
    async fn begin(&mut self) -> Result<(), Trouble> {
        let client = Arc::clone(&self.client);
        let connected = client.connection().await?;
        client.counters.watches.fetch_add(1, Relaxed);
        let (requests, outgoing) = mpsc::channel(8);
        let create = WatchCreateRequest {
            key: client.options.prefix.clone().into(),
            range_end: end_of(&client.options.prefix),
            start_revision: self.assembler.next(),
            progress_notify: true,
            fragment: true,
        };
        // There is room.
        let _ = requests.try_send(request(watch_request::RequestUnion::Create(create)));
        let mut request = client.signed(&connected, Requests(outgoing)).await?;
        // A member that loses its cluster ends the watch.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let created = async {
            let path = http::uri::PathAndQuery::from_static(WATCH);
            let mut grpc = connected.link.grpc(LIMIT);
            let mut answers = grpc.streaming(request, path, ProstCodec::default()).await?.into_inner();
            let first: WatchResponse =
                answers.message().await?.ok_or_else(|| Status::unavailable("the server ended the watch"))?;
            Ok::<_, Status>((answers, first))
        };
        let (answers, first) = match client.judged(&connected, created).await {
            Ok(created) => created,
            Err(failure) => return Err(self.judged(failure)),
        };
        let now = Instant::now();
        let id = first.watch_id;
        let (alive_at, expected) = (0, self.assembler.next());
        self.open = Some(Open {
            connected: Arc::clone(&connected),
            requests,
            answers,
            id,
            since: now,
            heard: now,
            asked: false,
            waiting: None,
            alive_at,
            expected,
        });
        self.take(first)?;
        self.renewed = false;
        self.compare(client.seen()).await?;
        self.compare_index(&connected).await?;
        if std::mem::take(&mut self.failed) && self.ready.is_empty() {
            // All is well again, and no change may come to show it.
            self.ready.push_back(News::Progress(self.assembler.next().unsigned_abs() - 1));
        }
        Ok(())
    }

    /// Takes an answer of the stream.
    fn take(&mut self, answer: WatchResponse) -> Result<(), Trouble> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let header = answer.header.ok_or(Failure::Nonsense("it has no header"))?;
        if !self.store.is_cluster_of(header) || answer.compact_revision > 0 {
            return Err(Trouble::Lost);
        }
        if answer.canceled {
            let reason = Some(&*answer.cancel_reason).filter(|reason| !reason.is_empty());
            let reason = reason.unwrap_or("the server ended the watch");
            return Err(self.judged(Failure::Said(Status::new(Code::Unknown, reason))));
        }
        if answer.created {
            return Ok(());
        }
        open.alive_at = open.alive_at.max(header.revision);
        if !answer.events.is_empty() || answer.fragment {
            self.ready.extend(self.assembler.take(answer)?);
            self.failures = 0;
            open.news(self.assembler.next());
            return Ok(());
        }
        let is_ordered = answer.watch_id == open.id || open.connected.orders_progress;
        let news = if is_ordered { self.assembler.progress(header.revision)? } else { None };
        if news.is_some() {
            open.news(self.assembler.next());
        }
        self.ready.extend(news);
        Ok(())
    }

    /// No news for long: asks the store itself whether there should be some. What the server answers on the stream
    /// shows that it lives, if it knows of what happened until it was last asked; most servers say no more than that.
    async fn doubt(&mut self) -> Result<(), Trouble> {
        let header = self.compare(self.client.seen()).await?;
        let Some(open) = &mut self.open else { return Ok(()) };
        if header.revision >= self.assembler.next() && open.alive_at < open.expected {
            // It died alone, and would tell nothing for ever.
            self.open = None;
            self.assembler.restart();
            return Ok(());
        }
        open.news(open.expected.max(header.revision));
        // Whoever reads learns that the store was heard of.
        self.ready.push_back(News::Progress(self.assembler.next().unsigned_abs() - 1));
        Ok(())
    }

    /// Whether the store is the one that was watched: a linearizable answer cannot be behind what was told or seen.
    async fn compare(&mut self, before: Seen) -> Result<ResponseHeader, Trouble> {
        let header = self.client.look().await?;
        if !self.store.is_cluster_of(header) || !before.allows(header) || header.revision < self.assembler.next() - 1 {
            return Err(Trouble::Lost);
        }
        self.client.note(header);
        self.store.note(header);
        Ok(header)
    }

    /// A store that was restored and has come further since counts its log anew, if nothing else. Asked behind a
    /// linearizable read on the same connection: a member that lagged has caught up by then.
    async fn compare_index(&mut self, connected: &Arc<Connected>) -> Result<(), Trouble> {
        let asked = connected.link.call(Request::new(StatusRequest {}), LIMIT);
        let index = match self.client.judged(connected, asked).await {
            Ok(status) => status.raft_index,
            Err(failure) if failure.meaning() == Meaning::Down => return Err(failure.into()),
            // It keeps that to itself.
            Err(_) => return Ok(()),
        };
        if index > 0 && index < self.index {
            return Err(Trouble::Lost);
        }
        self.index = index;
        Ok(())
    }
}

impl Open {
    /// There was news, or nothing to tell. From now on the server is expected to know of revision `known`.
    fn news(&mut self, known: i64) {
        self.heard = Instant::now();
        self.asked = false;
        self.expected = known;
    }

    /// Asks how far the watch is, unless earlier questions have not even left.
    fn ask(&self) {
        let _ = self.requests.try_send(request(watch_request::RequestUnion::Progress(WatchProgressRequest {})));
    }
}

fn request(union: watch_request::RequestUnion) -> WatchRequest {
    WatchRequest { request_union: Some(union) }
}

/// What is asked on a stream; it ends with the watch.
struct Requests(mpsc::Receiver<WatchRequest>);

impl Stream for Requests {
    type Item = WatchRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchRequest>> {
        self.0.poll_recv(cx)
    }
}
