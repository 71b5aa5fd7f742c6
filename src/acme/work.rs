//! What an issuer does while it runs: it looks, orders, and installs.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{self, JoinSet};

use super::attend::{Attended, Outcome, Watcher};
use super::authority::covers;
use super::claim::Failures;
use super::folder::{Folder, Shelf, Stamp};
use super::item::{Item, ask_again};
use super::schedule::{lot, pause};
use super::status::Board;
use crate::tls::{Certificates, Pair};

/// Orders that run at once.
const ORDERS: usize = 4;

/// Everything of one run.
pub(super) struct Work {
    watcher: Arc<Watcher>,
    certificates: Certificates,
    items: HashMap<String, Item>,
    tasks: JoinSet<Attended>,
    /// Whom each task is for, also when it ends without an answer.
    running: HashMap<task::Id, String>,
    board: Board,
    /// Whether the authority has an opinion on when to renew.
    has_windows: bool,
}

/// What a look at a file found.
struct Seen {
    id: String,
    stamp: Option<Stamp>,
    pair: Result<Pair, String>,
}

impl Work {
    pub(super) fn new(watcher: Arc<Watcher>, certificates: Certificates, board: Board) -> Self {
        Self {
            watcher,
            certificates,
            items: HashMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            board,
            has_windows: true,
        }
    }

    fn now(&self) -> SystemTime {
        self.watcher.options.clock.now()
    }

    /// Takes up what is new in the table, and what others put into the folder.
    pub(super) async fn look(&mut self) {
        let now = self.now();
        let mut present: HashMap<_, _> =
            self.certificates.all().into_iter().map(|one| (one.id().to_owned(), one)).collect();
        present.retain(|_, certificate| certificate.is_issued());
        self.items.retain(|id, _| present.contains_key(id));
        for (id, certificate) in present {
            match self.items.get_mut(&id) {
                Some(item) if Arc::ptr_eq(&item.certificate, &certificate) => {}
                Some(item) => item.replace(certificate, now),
                None => drop(self.items.insert(id, Item::new(certificate, now))),
            }
        }
        let known: Vec<_> = self.items.iter().map(|(id, item)| (id.clone(), item.stamp, item.names.clone())).collect();
        let folder = Arc::clone(&self.watcher.folder);
        let seen = tokio::task::spawn_blocking(move || {
            known.into_iter().filter_map(|(id, stamp, names)| see(&folder, id, stamp, &names)).collect::<Vec<_>>()
        });
        for Seen { id, stamp, pair } in seen.await.unwrap_or_default() {
            let Some(item) = self.items.get_mut(&id) else { continue };
            item.stamp = stamp;
            match pair {
                // An older one, from a copy of the folder, does not take the place of a newer.
                Ok(pair) if item.pair().is_none_or(|held| held.not_after() <= pair.not_after()) => {
                    // It is as old as its file: a start is no reason to let it rest once more.
                    item.hold(pair, stamp.map_or(now, Stamp::modified).min(now), now);
                }
                Ok(_) => {}
                Err(reason) => told_unusable(&id, &reason),
            }
        }
        self.tell();
    }

    /// Begins what is due, as far as there is room.
    pub(super) fn begin(&mut self) {
        let (now, share) = (self.now(), self.watcher.options.renew_before);
        let mut due: Vec<_> = self.items.iter_mut().filter(|(_, item)| !item.busy && item.is_possible()).collect();
        // What has none goes before what has one for a while.
        due.sort_by_key(|(_, item)| item.pair().map(Pair::not_after));
        for (id, item) in due {
            if self.tasks.len() >= ORDERS {
                break;
            }
            if item.due(share) <= now {
                item.busy = true;
                let (watcher, of, names) = (Arc::clone(&self.watcher), id.clone(), item.names.clone());
                let held = item.pair().cloned();
                let task = self.tasks.spawn(async move { watcher.order(of, names, held).await });
                self.running.insert(task.id(), id.clone());
            } else if let Some(held) =
                item.pair().filter(|_| self.has_windows && item.ask_at.is_some_and(|at| at <= now))
            {
                let (watcher, of, held) = (Arc::clone(&self.watcher), id.clone(), held.clone());
                item.busy = true;
                let task = self.tasks.spawn(async move { watcher.ask(of, held).await });
                self.running.insert(task.id(), id.clone());
            }
        }
        self.tell();
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<SystemTime> {
        if self.tasks.len() >= ORDERS {
            return None;
        }
        let share = self.watcher.options.renew_before;
        let waiting = self.items.values().filter(|item| !item.busy && item.is_possible());
        let of = |item: &Item| {
            let ask_at = item.ask_at.filter(|_| self.has_windows && item.pair().is_some());
            ask_at.map_or(item.due(share), |ask_at| ask_at.min(item.due(share)))
        };
        waiting.map(of).min()
    }

    /// Waits for the next task to end; for ever while there is none.
    pub(super) async fn ended(&mut self) -> Option<Attended> {
        match self.tasks.join_next_with_id().await {
            Some(Ok((task, attended))) => {
                self.running.remove(&task);
                Some(attended)
            }
            // It panicked. The item is not left alone for that.
            Some(Err(error)) => {
                let id = self.running.remove(&error.id())?;
                let count = self.items.get(&id)?.failures.count.saturating_add(1);
                let failures = Failures { count, last: Some(error.to_string()) };
                let until = self.now() + pause(count, None, lot());
                Some(Attended { id, names: None, outcome: Outcome::Failed { until, failures } })
            }
            None => std::future::pending().await,
        }
    }

    /// Takes what a task brought.
    pub(super) fn take(&mut self, Attended { id, names, outcome }: Attended) {
        let now = self.now();
        let Some(item) = self.items.get_mut(&id) else { return };
        item.busy = false;
        // The item has got other names meanwhile: what was ordered is for nothing, and the next order begins at once.
        if names.as_ref().is_some_and(|names| *names != item.names) {
            return;
        }
        match outcome {
            Outcome::Delivered { pair, stamp } => {
                told_delivered(&id, &pair);
                item.stamp = stamp;
                item.hold(pair, now, now);
                item.wait(now);
            }
            Outcome::Others { until, failures } => {
                item.failures = failures;
                item.wait(until);
            }
            Outcome::Failed { until, failures } => {
                told_failed(&id, &failures.last, until.duration_since(now).unwrap_or_default());
                item.fail(failures, until);
            }
            Outcome::Window(Ok(Some(window))) => {
                item.want(window);
                item.ask_at = Some(now + ask_again(Some(window.again)));
            }
            Outcome::Window(Ok(None)) => self.has_windows = false,
            Outcome::Window(Err(_)) => item.ask_at = Some(now + ask_again(None).mul_f64(0.5 + lot())),
        }
        self.tell();
    }

    fn tell(&self) {
        let (now, share) = (self.now(), self.watcher.options.renew_before);
        self.board.write(self.items.values().map(|item| item.status(share, now)).collect());
    }
}

/// Reads a file that changed since.
fn see(folder: &Folder, id: String, known: Option<Stamp>, names: &[String]) -> Option<Seen> {
    let stamp = folder.stamp(Shelf::Certificates, &id)?;
    if Some(stamp) == known {
        return None;
    }
    match read(folder, &id, names) {
        Ok((pair, stamp)) => Some(Seen { id, stamp: Some(stamp), pair: Ok(pair) }),
        Err(reason) => Some(Seen { id, stamp: Some(stamp), pair: Err(reason) }),
    }
}

/// The kept certificate of an item, if it is for its names and not over.
pub(super) fn read(folder: &Folder, id: &str, names: &[String]) -> Result<(Pair, Stamp), String> {
    let found = folder.get_stamped(Shelf::Certificates, id).map_err(|error| error.to_string())?;
    let (text, stamp) = found.ok_or("there is none")?;
    let pair = Pair::from_pem(&text, &text).map_err(|fault| fault.to_string())?;
    if covers(&pair, names) { Ok((pair, stamp)) } else { Err("it is for other names".to_owned()) }
}

#[cfg(feature = "tracing")]
fn told_unusable(id: &str, reason: &str) {
    tracing::info!(certificate = id, reason, "the kept certificate is not used");
}

#[cfg(feature = "tracing")]
fn told_delivered(id: &str, pair: &Pair) {
    let days = pair.not_after().duration_since(SystemTime::now()).unwrap_or_default().as_secs() / (24 * 60 * 60);
    tracing::info!(certificate = id, days, "a certificate was issued");
}

#[cfg(feature = "tracing")]
fn told_failed(id: &str, reason: &Option<String>, again: Duration) {
    let reason = reason.as_deref().unwrap_or_default();
    tracing::warn!(certificate = id, reason, again_in_seconds = again.as_secs(), "no certificate was issued");
}

#[cfg(not(feature = "tracing"))]
fn told_unusable(_: &str, _: &str) {}

#[cfg(not(feature = "tracing"))]
fn told_delivered(_: &str, _: &Pair) {}

#[cfg(not(feature = "tracing"))]
fn told_failed(_: &str, _: &Option<String>, _: Duration) {}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::super::Clock;
    use super::super::answers::Answers;
    use super::super::authority::Authority;
    use super::super::claim::Claims;
    use super::super::options::Options;
    use super::*;
    use crate::tls::Certificate;

    const MINUTE: Duration = Duration::from_secs(60);

    fn work(place: &tempfile::TempDir, now: SystemTime) -> Work {
        let mut options = Options::new("https://127.0.0.1:1/".to_owned());
        (options.terms_agreed, options.clock) = (true, Clock::manual(now));
        let options = Arc::new(options);
        let folder = Arc::new(Folder::open(place.path(), &options.directory).unwrap());
        let claims = Arc::new(Claims::new(Arc::clone(&folder)).unwrap());
        let answers = Arc::new(Answers::new(Arc::clone(&folder)));
        let authority = Authority::new(Arc::clone(&options), Arc::clone(&folder), answers).unwrap();
        let certificates = Certificates::new();
        certificates.put(Certificate::builder("shop").name("shop.test").issued().build().unwrap());
        let watcher = Arc::new(Watcher { options, folder, claims, authority });
        Work::new(watcher, certificates, Board::default())
    }

    /// A certificate for an hour, from half an hour ago, that was written when it began.
    fn keep(work: &Work, now: SystemTime) {
        let mut params = rcgen::CertificateParams::new(["shop.test".to_owned()]).unwrap();
        (params.not_before, params.not_after) = ((now - 30 * MINUTE).into(), (now + 30 * MINUTE).into());
        let key = rcgen::KeyPair::generate().unwrap();
        let text = key.serialize_pem() + &params.self_signed(&key).unwrap().pem();
        let folder = &work.watcher.folder;
        folder.put(Shelf::Certificates, "shop", &text).unwrap();
        let file = File::options().write(true).open(folder.path(Shelf::Certificates, "shop")).unwrap();
        file.set_modified(now - 30 * MINUTE).unwrap();
    }

    #[tokio::test]
    async fn what_was_kept_is_as_old_after_a_start_as_before() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let mut work = work(&place, now);
        keep(&work, now);
        work.look().await;
        let item = &work.items["shop"];
        assert!(item.pair().is_some());
        assert!(item.due(0.5) <= now, "{:?}", item.due(0.5));
    }

    #[tokio::test]
    async fn a_task_that_panics_is_a_failure_that_is_tried_again() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let mut work = work(&place, now);
        work.look().await;
        work.items.get_mut("shop").unwrap().busy = true;
        let task = work.tasks.spawn(async { panic!("on purpose") });
        work.running.insert(task.id(), "shop".to_owned());
        let ended = work.ended().await.unwrap();
        work.take(ended);
        let item = &work.items["shop"];
        assert!(!item.busy && item.failures.count == 1);
        assert!(item.failures.last.as_ref().unwrap().contains("panicked"), "{:?}", item.failures);
        assert!(work.next().unwrap() > now && work.running.is_empty());
    }
}
