//! What an issuer does while it runs: it looks, orders, and installs.
//!
//! Of many items only those are looked at of which something became: what is due next stands in agendas.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{self, JoinSet};

use super::attend::{Attended, Outcome, Watcher};
use super::authority::{Opinion, covers};
use super::claim::Failures;
use super::folder::{Folder, Shelf, Stamp};
use super::item::{Item, ask_again};
use super::schedule::{lot, pause};
use super::status::Board;
use crate::agenda::Agenda;
use crate::tls::{Certificate, Certificates, Pair};

/// Orders that run at once.
const ORDERS: usize = 4;

/// Everything of one run.
pub(super) struct Work {
    watcher: Arc<Watcher>,
    certificates: Certificates,
    items: HashMap<Arc<str>, Item>,
    /// Orders for what there is none of yet, which go first.
    missing: Agenda<Arc<str>>,
    renewals: Agenda<Arc<str>>,
    /// When to renew is asked.
    questions: Agenda<Arc<str>>,
    tasks: JoinSet<Attended>,
    /// Whom each task is for, also when it ends without an answer.
    running: HashMap<task::Id, Arc<str>>,
    board: Board,
    /// Whether the authority has an opinion on when to renew.
    has_windows: bool,
}

/// What a look at a file found.
struct Seen {
    id: Arc<str>,
    stamp: Option<Stamp>,
    pair: Result<Pair, String>,
}

impl Work {
    pub(super) fn new(watcher: Arc<Watcher>, certificates: Certificates, board: Board) -> Self {
        Self {
            watcher,
            certificates,
            items: HashMap::new(),
            missing: Agenda::default(),
            renewals: Agenda::default(),
            questions: Agenda::default(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            board,
            has_windows: true,
        }
    }

    fn now(&self) -> SystemTime {
        self.watcher.options.clock.now()
    }

    /// Takes up what is new in the table, and what others put into the folder: for what is new, or with `everything` for
    /// each item.
    pub(super) async fn look(&mut self, everything: bool) {
        let now = self.now();
        // There may be a hundred thousand, few of which are to be issued.
        let certificates = self.certificates.clone();
        let present = task::spawn_blocking(move || issued(&certificates)).await;
        // A look that failed is made again.
        let Ok(present) = present else { return };
        let gone: Vec<_> = self.items.keys().filter(|id| !present.contains_key(*id)).cloned().collect();
        for id in gone {
            self.items.remove(&id);
            self.plan(&id);
        }
        let mut known = Vec::new();
        for (id, certificate) in present {
            let is_new = match self.items.get_mut(&id) {
                Some(item) if Arc::ptr_eq(&item.certificate, &certificate) => false,
                Some(item) => {
                    item.replace(certificate, now);
                    true
                }
                None => {
                    self.items.insert(Arc::clone(&id), Item::new(certificate, now));
                    true
                }
            };
            if is_new {
                self.plan(&id);
            }
            if let Some(item) = self.items.get(&id).filter(|_| is_new || everything) {
                known.push((id, item.stamp, Arc::clone(&item.names)));
            }
        }
        let folder = Arc::clone(&self.watcher.folder);
        let seen = task::spawn_blocking(move || {
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
            self.plan(&id);
        }
    }

    /// Puts what is to be done for an item where it belongs, and says how it is doing.
    fn plan(&mut self, id: &Arc<str>) {
        let share = self.watcher.options.renew_before;
        let (mut missing, mut renewal, mut question) = (None, None, None);
        let item = self.items.get(id);
        if let Some(item) = item.filter(|item| !item.busy && item.is_possible()) {
            if item.pair().is_none() {
                missing = Some(item.due(share));
            } else {
                renewal = Some(item.due(share));
                question = item.ask_at.filter(|_| self.has_windows);
            }
        }
        self.missing.set(id, missing);
        self.renewals.set(id, renewal);
        self.questions.set(id, question);
        self.board.put(id, item.map(|item| item.told(share)));
    }

    /// Begins what is due, as far as there is room, and unless the authority wants to be left alone.
    pub(super) fn begin(&mut self) {
        let now = self.now();
        if self.watcher.authority.quiet_until() > now {
            return;
        }
        while self.tasks.len() < ORDERS {
            let order = self.missing.take(now).or_else(|| self.renewals.take(now));
            let orders = order.is_some();
            let Some(id) = order.or_else(|| self.questions.take(now)) else { break };
            let Some(item) = self.items.get_mut(&id) else { continue };
            item.busy = true;
            let (watcher, of) = (Arc::clone(&self.watcher), Arc::clone(&id));
            let (names, held) = (Arc::clone(&item.names), item.pair().cloned());
            let task = match held {
                Some(held) if !orders => self.tasks.spawn(async move { watcher.ask(of, held).await }),
                held => self.tasks.spawn(async move { watcher.order(of, names, held).await }),
            };
            self.running.insert(task.id(), Arc::clone(&id));
            self.plan(&id);
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<SystemTime> {
        if self.tasks.len() >= ORDERS {
            return None;
        }
        let first = [&self.missing, &self.renewals, &self.questions].into_iter().filter_map(Agenda::first).min()?;
        Some(first.max(self.watcher.authority.quiet_until()))
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
        match outcome {
            // The item has got other names meanwhile: what was ordered is for nothing, and the next order begins at once.
            _ if names.as_ref().is_some_and(|names| *names != item.names) => {}
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
            Outcome::Window(Ok(Opinion::Within(window))) => {
                item.want(window);
                item.ask_at = Some(now + ask_again(Some(window.again)));
            }
            Outcome::Window(Ok(Opinion::NotOfThis)) => item.ask_at = None,
            Outcome::Window(Ok(Opinion::OfNone)) => {
                self.has_windows = false;
                self.questions = Agenda::default();
            }
            Outcome::Window(Err(_)) => item.ask_at = Some(now + ask_again(None).mul_f64(0.5 + lot())),
        }
        self.plan(&id);
    }
}

/// The certificates of a table that are to be issued.
fn issued(certificates: &Certificates) -> HashMap<Arc<str>, Arc<Certificate>> {
    let issued = certificates.all().into_iter().filter(|certificate| certificate.is_issued());
    issued.map(|certificate| (certificate.shared_id(), certificate)).collect()
}

/// Reads a file that changed since.
fn see(folder: &Folder, id: Arc<str>, known: Option<Stamp>, names: &[String]) -> Option<Seen> {
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

    const SECOND: Duration = Duration::from_secs(1);
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
        let text = key.serialize_pem() + &*params.self_signed(&key).unwrap().pem();
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
        work.look(true).await;
        let item = &work.items["shop"];
        assert!(item.pair().is_some());
        assert!(item.due(0.5) <= now, "{:?}", item.due(0.5));
    }

    #[tokio::test]
    async fn a_task_that_panics_is_a_failure_that_is_tried_again() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let mut work = work(&place, now);
        work.look(true).await;
        work.items.get_mut("shop").unwrap().busy = true;
        let task = work.tasks.spawn(async { panic!("on purpose") });
        work.running.insert(task.id(), "shop".into());
        let ended = work.ended().await.unwrap();
        work.take(ended);
        let item = &work.items["shop"];
        assert!(!item.busy && item.failures.count == 1);
        assert!(item.failures.last.as_ref().unwrap().contains("panicked"), "{:?}", item.failures);
        assert!(work.next().unwrap() > now && work.running.is_empty());
    }
    #[tokio::test]
    async fn what_is_missing_goes_first_and_nothing_begins_while_the_authority_wants_to_be_left_alone() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let mut work = work(&place, now);
        keep(&work, now);
        for id in ["a", "b", "c", "d", "e"] {
            work.certificates.put(Certificate::builder(id).name(format!("{id}.test")).issued().build().unwrap());
        }
        work.look(true).await;
        work.watcher.authority.be_quiet(MINUTE);
        work.begin();
        assert_eq!(work.tasks.len(), 0);
        assert!(work.next().unwrap() >= now + MINUTE - SECOND);
        work.watcher.options.clock.advance(2 * MINUTE);
        work.begin();
        assert_eq!((work.tasks.len(), work.next()), (ORDERS, None));
        assert!(!work.items["shop"].busy, "it has one for a while");
        // Each is begun once, whatever comes between.
        work.look(true).await;
        work.begin();
        assert_eq!(work.running.len(), ORDERS);
    }

    #[tokio::test]
    async fn a_certificate_that_the_authority_cannot_name_keeps_no_other_from_being_asked_about() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let mut work = work(&place, now);
        keep(&work, now);
        work.look(true).await;
        let told = |opinion| Attended { id: "shop".into(), names: None, outcome: Outcome::Window(Ok(opinion)) };
        assert!(work.questions.first().is_some());
        // It was made without an authority key identifier.
        let opinion = work.watcher.authority.window(work.items["shop"].pair().unwrap()).await.unwrap();
        assert!(matches!(opinion, Opinion::NotOfThis));
        work.take(told(opinion));
        assert!(work.has_windows && work.questions.first().is_none());
        work.take(told(Opinion::OfNone));
        assert!(!work.has_windows);
    }

    #[tokio::test]
    async fn a_change_of_the_table_reads_no_file_of_what_did_not_change() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let mut work = work(&place, now);
        work.look(true).await;
        keep(&work, now);
        work.look(false).await;
        assert!(work.items["shop"].pair().is_none());
        work.look(true).await;
        assert!(work.items["shop"].pair().is_some());
    }
}
