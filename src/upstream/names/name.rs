//! A name, looked up in the background while somebody uses it.
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::config::NamesConfig;
use super::known::{Known, Memory};
use super::resolve::{Location, Resolve};

/// How names are looked up; one for all names of a gateway, and it may change.
#[derive(Clone)]
pub(crate) struct Lookup {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) config: NamesConfig,
}

/// A name. Its task begins when somebody follows it, and ends with this.
pub(crate) struct Name {
    host: Arc<str>,
    lookup: watch::Receiver<Lookup>,
    known: Arc<watch::Sender<Known>>,
    task: Mutex<Option<AbortHandle>>,
}

/// Tells of changes of a [`Name`].
#[derive(Debug)]
pub(crate) struct Changes(watch::Receiver<Known>);

impl Changes {
    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Name {
    pub(crate) fn new(host: &str, lookup: watch::Receiver<Lookup>) -> Self {
        let (known, _) = watch::channel(Known::Pending);
        Self { host: host.into(), lookup, known: Arc::new(known), task: Mutex::new(None) }
    }

    /// Where it leads, best first; nowhere while that is not known.
    pub(crate) fn locations(&self) -> Arc<[Location]> {
        match &*self.known.borrow() {
            Known::Fresh(locations) | Known::Stale(locations, _) => Arc::clone(locations),
            Known::Pending | Known::Nowhere(_) => Arc::default(),
        }
    }

    /// Whether no look-up has ended yet.
    pub(crate) fn is_pending(&self) -> bool {
        *self.known.borrow() == Known::Pending
    }

    /// Why the last look-up found nothing.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        let known = self.known.borrow();
        known.reason().map(|reason| io::Error::new(reason.kind, reason.text.to_string()))
    }

    /// The name itself.
    pub(crate) fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// The changes from now on. Must be called inside a tokio runtime: the task is started if it does not run, or if its
    /// runtime has ended under it.
    pub(crate) fn follow(&self) -> Changes {
        let changes = Changes(self.known.subscribe());
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(AbortHandle::is_finished) {
            let keep = keep(Arc::clone(&self.host), self.lookup.clone(), Arc::clone(&self.known));
            *task = Some(tokio::spawn(keep).abort_handle());
        }
        changes
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

/// Looks the name up again whenever the answer has run out, for ever.
async fn keep(host: Arc<str>, mut lookup: watch::Receiver<Lookup>, known: Arc<watch::Sender<Known>>) {
    let mut memory = Memory::new(Instant::now());
    let random = RandomState::new();
    for turn in 0_u64.. {
        let Lookup { resolver, config } = lookup.borrow_and_update().clone();
        let answer = resolver.resolve(&host).await;
        drop(resolver);
        let luck = (random.hash_one(turn) >> 32) as f64 / f64::from(u32::MAX);
        let pause = memory.learn(answer, &config, Instant::now(), luck);
        known.send_if_modified(|before| {
            let changed = before != memory.known();
            if changed {
                tell(&host, before, memory.known());
                *before = memory.known().clone();
            }
            changed
        });
        tokio::select! {
            () = sleep(pause) => {}
            // Somebody else is to be asked now. An error says that nobody will change that any more.
            () = async { if lookup.changed().await.is_err() { std::future::pending().await } } => {}
        }
    }
}

/// Logs a change.
#[cfg(feature = "tracing")]
fn tell(name: &str, before: &Known, now: &Known) {
    let places = || now.locations().iter().map(|one| one.address.to_string()).collect::<Vec<_>>().join(" ");
    match (before, now) {
        (_, Known::Pending) | (Known::Stale(..), Known::Stale(..)) | (Known::Nowhere(_), Known::Nowhere(_)) => {}
        (Known::Pending, Known::Fresh(_)) => tracing::debug!(name, places = places(), "the name resolves"),
        (Known::Fresh(_), Known::Fresh(_)) => tracing::info!(name, places = places(), "the name leads elsewhere"),
        (_, Known::Fresh(_)) => tracing::info!(name, places = places(), "the name resolves again"),
        (_, Known::Stale(_, reason)) => {
            tracing::warn!(
                name,
                places = places(),
                reason = &*reason.text,
                "the name does not resolve; what it was stays"
            );
        }
        (_, Known::Nowhere(reason)) => tracing::warn!(name, reason = &*reason.text, "the name does not resolve"),
    }
}

#[cfg(not(feature = "tracing"))]
fn tell(_: &str, _: &Known, _: &Known) {}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::IpAddr;
    use std::pin::Pin;
    use std::time::Duration;

    use super::super::resolve::Resolved;
    use super::*;

    /// Answers from a list, the last one for ever.
    struct Scripted(Mutex<VecDeque<io::Result<Vec<IpAddr>>>>);

    impl Resolve for Scripted {
        fn resolve<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Resolved>> + Send + 'a>> {
            let answer = self.0.lock().unwrap().pop_front().unwrap_or(Err(io::ErrorKind::TimedOut.into()));
            Box::pin(async { answer.map(|addresses| Resolved::addresses(addresses, Duration::from_secs(5))) })
        }
    }

    fn lookup(script: Vec<io::Result<Vec<IpAddr>>>) -> Lookup {
        Lookup { resolver: Arc::new(Scripted(Mutex::new(script.into()))), config: NamesConfig::default() }
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn addresses(name: &Name) -> Vec<IpAddr> {
        name.locations().iter().map(|one| one.address).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_answer_stays_when_look_ups_fail() {
        let script = vec![Ok(vec![ip(1)]), Err(io::ErrorKind::TimedOut.into()), Ok(vec![]), Ok(vec![ip(2)])];
        let (_sender, receiver) = watch::channel(lookup(script));
        let name = Name::new("a.test", receiver);
        let mut changes = name.follow();
        assert!(name.is_pending());
        for (address, failure) in [
            (ip(1), None),
            (ip(1), Some(io::ErrorKind::TimedOut)),
            (ip(1), Some(io::ErrorKind::NotFound)),
            (ip(2), None),
        ] {
            changes.next().await;
            assert_eq!((addresses(&name), name.failure().map(|error| error.kind())), (vec![address], failure));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_fails_first_recovers() {
        let (_sender, receiver) = watch::channel(lookup(vec![Err(io::ErrorKind::NotFound.into()), Ok(vec![ip(1)])]));
        let name = Name::new("a.test", receiver);
        let mut changes = name.follow();
        changes.next().await;
        assert_eq!((addresses(&name), name.failure().unwrap().kind()), (vec![], io::ErrorKind::NotFound));
        changes.next().await;
        assert_eq!((addresses(&name), name.failure().is_none()), (vec![ip(1)], true));
    }

    #[tokio::test(start_paused = true)]
    async fn another_resolver_is_asked_at_once() {
        let (sender, receiver) = watch::channel(lookup(vec![Ok(vec![ip(1)])]));
        let name = Name::new("a.test", receiver);
        let mut changes = name.follow();
        changes.next().await;
        let began = Instant::now();
        sender.send_replace(lookup(vec![Ok(vec![ip(2)])]));
        changes.next().await;
        assert_eq!((addresses(&name), began.elapsed()), (vec![ip(2)], Duration::ZERO));
        // What nobody uses is not looked up.
        let task = name.task.lock().unwrap().clone().unwrap();
        drop(name);
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}
