//! The one connection, whoever needs it.
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tonic::Request;
use tonic::metadata::MetadataValue;

use super::super::StoreError;
use super::counters::Counters;
use super::endpoints::{Endpoints, Pick};
use super::failure::{Failure, Meaning};
use super::link::Link;
use super::login::{Login, Pass};
use super::message::{RangeRequest, ResponseHeader, StatusRequest};
use super::options::{Options, end_of};
use super::race::Race;
use super::report::Report;
use super::rpc::Call;
use super::same::Seen;
use super::version::orders_progress;
use crate::net::Sweep;

/// The longest answer, but for a full read in one piece: values are at most as long as the server's
/// `--max-request-bytes`, 1.5 MiB unless set.
pub(super) const LIMIT: usize = 64 << 20;

/// How long a server may take before the next one is asked as well. The first to answer is taken.
const HEAD_START: Duration = Duration::from_secs(1);

/// What all users of a store share.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) options: Options,
    pub(super) counters: Arc<Counters>,
    /// Asks the watches how far they are.
    pub(super) ask: watch::Sender<()>,
    /// The newest revision that a watch told.
    pub(super) told: AtomicI64,
    seen: Mutex<Seen>,
    login: Login,
    report: Report,
    endpoints: Mutex<Endpoints>,
    current: Mutex<Option<Arc<Connected>>>,
    /// Why there was no connection, or no use of it, the last time.
    last: Mutex<String>,
    /// Whoever has it connects; the others wait for what comes of it.
    turn: Semaphore,
    sweep: Sweep,
}

/// A connection to a server that has answered on it.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) link: Link,
    /// Whether the server's answers about progress come behind the events that they are about.
    pub(super) orders_progress: bool,
}

impl Client {
    pub(super) fn new(options: Options) -> Self {
        Self {
            endpoints: Mutex::new(Endpoints::new(options.servers.len(), options.down)),
            login: Login::new(options.user.clone()),
            report: Report::default(),
            counters: Arc::default(),
            ask: watch::Sender::new(()),
            told: AtomicI64::new(0),
            seen: Mutex::default(),
            current: Mutex::default(),
            last: Mutex::default(),
            turn: Semaphore::new(1),
            sweep: Sweep::new(),
            options,
        }
    }

    /// Sends a request over the connection, which is opened if there is none, and waits for the answer.
    ///
    /// # Errors
    /// A request that was sent is not sent again, unless the server turned it away unread because of the log-in: after
    /// [`Meaning::Down`] it may have been heard or not.
    pub(super) async fn call<C: Call>(&self, request: C) -> Result<C::Answer, Failure> {
        self.call_for(request, LIMIT).await
    }

    /// As [`call`](Self::call), for answers of another length.
    pub(super) async fn call_for<C: Call>(&self, request: C, limit: usize) -> Result<C::Answer, Failure> {
        let connected = self.connection().await?;
        match self.ask_once(&connected, request.clone(), limit).await {
            Err(failure) if failure.is_of_login() && self.login.is_needed() => {
                self.login.forget();
                self.ask_once(&connected, request, limit).await
            }
            answer => answer,
        }
    }

    async fn ask_once<C: Call>(
        &self,
        connected: &Arc<Connected>,
        request: C,
        limit: usize,
    ) -> Result<C::Answer, Failure> {
        let mut request = self.signed(connected, request).await?;
        // A member that has lost its cluster says so at once.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        self.judged(connected, connected.link.call(request, limit)).await
    }

    /// The request, with the token of the log-in.
    pub(super) async fn signed<T>(&self, connected: &Arc<Connected>, message: T) -> Result<Request<T>, Failure> {
        let pass = match self.login.pass() {
            Pass::Unknown => self.judged(connected, self.login.log_in(&connected.link)).await?,
            pass => pass,
        };
        let mut request = Request::new(message);
        if let Pass::Token(token) = pass {
            request.metadata_mut().insert("token", token);
        }
        Ok(request)
    }

    /// Waits for an answer, but not too long, and notes what it tells of the server.
    pub(super) async fn judged<T, E: Into<Failure>>(
        &self,
        connected: &Arc<Connected>,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        let answer = match timeout(self.options.timeout, answer).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(Failure::Silent(self.options.timeout)),
        };
        match &answer {
            Err(failure) if failure.meaning() == Meaning::Down => {
                *lock(&self.last) = failure.text();
                self.give_up(connected);
            }
            _ => lock(&self.endpoints).answered(connected.link.server),
        }
        answer
    }

    /// Has the connection closed and the next one opened to somebody else.
    pub(super) fn give_up(&self, connected: &Arc<Connected>) {
        let mut current = lock(&self.current);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connected)) {
            *current = None;
            drop(current);
            lock(&self.endpoints).failed(connected.link.server, Instant::now(), jitter());
        }
        // Whoever waits on it as well need not wait for its own limit.
        connected.link.close();
    }

    /// Has everybody log in anew. Tells whether that may help.
    pub(super) fn log_out(&self) -> bool {
        self.login.forget();
        self.login.is_needed()
    }

    /// The connection, a new one if there is none.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], after one attempt with each server at most.
    pub(super) async fn connection(&self) -> Result<Arc<Connected>, Failure> {
        if let Some(connected) = self.current() {
            return Ok(connected);
        }
        // It is never closed; without it there would be two connections now and then, and no worse.
        let _turn = self.turn.acquire().await;
        if let Some(connected) = self.current() {
            return Ok(connected);
        }
        // Before the next one is opened the last one is closed.
        *lock(&self.current) = None;
        let mut said = Vec::new();
        let mut race = Race::new();
        let mut left = self.options.servers.len();
        loop {
            if left > 0 {
                let pick = lock(&self.endpoints).pick(Instant::now(), |place| race.has(place));
                match pick {
                    Pick::Server(place) => {
                        left -= 1;
                        race.add(place, self.attempt(place));
                    }
                    Pick::Nobody(again) if race.is_empty() && said.is_empty() => {
                        let message = lock(&self.last).clone();
                        return Err(Failure::Unreachable { message, again: Some(again) });
                    }
                    Pick::Nobody(_) => left = 0,
                }
            }
            if race.is_empty() {
                break;
            }
            let head_start = if left > 0 { HEAD_START } else { Duration::MAX };
            match timeout(head_start, race.next()).await {
                Ok((place, Ok(connected))) => {
                    lock(&self.endpoints).answered(place);
                    self.counters.taken.fetch_add(1, Relaxed);
                    let connected = Arc::new(connected);
                    *lock(&self.current) = Some(Arc::clone(&connected));
                    return Ok(connected);
                }
                Ok((place, Err(message))) => {
                    said.push((place, message));
                    lock(&self.endpoints).failed(place, Instant::now(), jitter());
                }
                // It goes on beside the next one.
                Err(_) => {}
            }
        }
        let message = self.told(&said);
        lock(&self.last).clone_from(&message);
        Err(Failure::Unreachable { message, again: None })
    }

    fn told(&self, said: &[(usize, String)]) -> String {
        let one = |(place, message): &(usize, String)| match self.options.servers.get(*place) {
            Some(server) if self.options.servers.len() > 1 => format!("{}:{}: {message}", server.host, server.port),
            _ => message.clone(),
        };
        said.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    fn current(&self) -> Option<Arc<Connected>> {
        lock(&self.current).as_ref().filter(|connected| !connected.link.is_over()).cloned()
    }

    async fn attempt(&self, place: usize) -> Result<Connected, String> {
        let late = |_| Err(format!("no answer within {:?}", self.options.connect));
        timeout(self.options.connect, self.connect(place)).await.unwrap_or_else(late)
    }

    /// A server counts as reached when it has told what it is: a stopped one takes connections, too.
    async fn connect(&self, place: usize) -> Result<Connected, String> {
        let link = Link::open(&self.options, place, &self.sweep, &self.counters).await?;
        let status = match link.call(Request::new(StatusRequest {}), LIMIT).await {
            Ok(status) => status,
            Err(status) if Failure::Said(status.clone()).meaning() == Meaning::Down => {
                return Err(status.message().to_owned());
            }
            // It is there, and keeps its version to itself.
            Err(_) => return Ok(Connected { link, orders_progress: false }),
        };
        if status.leader == 0 {
            return Err("the server knows no leader".to_owned());
        }
        Ok(Connected { link, orders_progress: orders_progress(&status.version) })
    }

    /// What linearizable answers said of the store so far.
    pub(super) fn seen(&self) -> Seen {
        *lock(&self.seen)
    }

    /// Notes one more of them.
    pub(super) fn note(&self, header: ResponseHeader) {
        lock(&self.seen).note(header);
    }

    /// Takes the store for the one that this answer comes from, whatever was seen before.
    pub(super) fn believe(&self, header: ResponseHeader) {
        *lock(&self.seen) = Seen::of(header);
        // Its revisions may begin anew.
        self.told.store(0, Relaxed);
    }

    /// Where the store is now, at the least expense: asked for is the store itself, not what one member has heard of
    /// it.
    pub(super) async fn look(&self) -> Result<ResponseHeader, Failure> {
        let key = self.options.prefix.clone().into();
        let answer = self.call(RangeRequest { key, count_only: true, ..RangeRequest::default() }).await?;
        answer.header.ok_or(Failure::Nonsense("it has no header"))
    }

    /// How many keys below the prefix there are; asked for is the store itself, not what one member has heard of it.
    pub(super) async fn census(&self) -> Result<(ResponseHeader, i64), Failure> {
        let prefix = &self.options.prefix;
        let answer = self
            .call(RangeRequest {
                key: prefix.clone().into(),
                range_end: end_of(prefix),
                count_only: true,
                ..RangeRequest::default()
            })
            .await?;
        Ok((answer.header.ok_or(Failure::Nonsense("it has no header"))?, answer.count))
    }

    /// The failure as users of the store see it, once in the log.
    pub(super) fn error(&self, failure: &Failure) -> StoreError {
        let error = failure.at(&self.options.place);
        self.report.error(&error, Instant::now());
        error
    }
}

/// From 0 to 1.
pub(super) fn jitter() -> f64 {
    // Without randomness all wait equally long.
    f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX)
}

/// A pause, and up to half of it more.
pub(super) fn about(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + jitter() / 2.0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
