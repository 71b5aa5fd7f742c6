//! What a stapler does while it runs: it looks, asks, and staples.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use tokio::task::{self, JoinSet};

use super::answer::{Answer, Unanswered};
use super::stapler::Stapler;
use super::status::{Board, StapleStatus};
use super::subject::{Subject, Unasked, needs_staple};
use crate::tls::{Certificate, Certificates};

/// Questions that are open at once.
const QUESTIONS: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Everything of one run.
pub(super) struct Round {
    stapler: Stapler,
    certificates: Certificates,
    /// By id and certificate: what is replaced is another one.
    pairs: HashMap<Key, Pair>,
    tasks: JoinSet<Asked>,
    /// What each question is about, also when it ends without an answer.
    running: HashMap<task::Id, Key>,
    board: Board,
}

type Key = (Arc<str>, CertificateDer<'static>);

/// What a question brought.
pub(super) struct Asked {
    key: Key,
    answer: Result<Answer, Unanswered>,
}

/// One pair of a certificate.
#[derive(Clone)]
struct Pair {
    certificate: Arc<Certificate>,
    place: usize,
    subject: Result<Arc<Subject>, Unasked>,
    must_staple: bool,
    answer: Option<Arc<Answer>>,
    /// When somebody is asked.
    due: SystemTime,
    busy: bool,
    failures: u32,
    error: Option<String>,
}

impl Round {
    pub(super) fn new(stapler: Stapler, certificates: Certificates, board: Board) -> Self {
        let (pairs, running) = (HashMap::new(), HashMap::new());
        Self { stapler, certificates, pairs, tasks: JoinSet::new(), running, board }
    }

    /// Takes up what is new in the table.
    pub(super) async fn look(&mut self) {
        let now = self.stapler.clock.now();
        let known = Arc::new(std::mem::take(&mut self.pairs));
        let before = Arc::clone(&known);
        let certificates = self.certificates.clone();
        // There may be a hundred thousand.
        let looked = tokio::task::spawn_blocking(move || {
            let mut pairs = HashMap::with_capacity(known.len());
            for certificate in certificates.all() {
                let id: Arc<str> = certificate.id().into();
                for (place, pair) in certificate.pairs().iter().enumerate() {
                    let Some(leaf) = pair.chain().first() else { continue };
                    let key = (Arc::clone(&id), leaf.clone());
                    // Two pairs of one certificate: they are stapled together.
                    if pairs.contains_key(&key) {
                        continue;
                    }
                    let known = known.get(&key).cloned();
                    let mut entry = known.unwrap_or_else(|| Pair::new(&certificate, pair, now));
                    entry.certificate = Arc::clone(&certificate);
                    entry.place = place;
                    // The certificate was replaced by another form of itself.
                    if let Some(answer) = entry.answer.as_ref().filter(|_| pair.staple().is_none()) {
                        certificate.staple(leaf, Some(answer.der.clone()));
                    }
                    pairs.insert(key, entry);
                }
            }
            pairs
        });
        // A look that failed forgets nothing: what is shown has to be taken away when it is over.
        self.pairs = match looked.await {
            Ok(pairs) => pairs,
            Err(_) => Arc::unwrap_or_clone(before),
        };
        self.board.write(self.pairs.iter().filter_map(|(key, pair)| status(key, pair)));
    }

    /// Asks what is due, as far as there is room, and takes away what is over.
    pub(super) fn begin(&mut self) {
        let now = self.stapler.clock.now();
        for (key, pair) in &mut self.pairs {
            if pair.answer.as_ref().is_some_and(|answer| answer.until <= now) {
                pair.answer = None;
                pair.certificate.staple(&key.1, None);
                told_over(&key.0, pair);
                status(key, pair).into_iter().for_each(|status| self.board.put(status));
            }
            let Ok(subject) = &pair.subject else { continue };
            if pair.busy || pair.due > now || self.tasks.len() >= QUESTIONS {
                continue;
            }
            pair.busy = true;
            let (stapler, subject, of) = (self.stapler.clone(), Arc::clone(subject), key.clone());
            let task = self.tasks.spawn(async move { Asked { key: of, answer: stapler.ask(&subject).await } });
            self.running.insert(task.id(), key.clone());
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<SystemTime> {
        let asks = self.tasks.len() < QUESTIONS;
        let of = |pair: &Pair| {
            let ask = (asks && !pair.busy && pair.subject.is_ok()).then_some(pair.due);
            let over = pair.answer.as_ref().map(|answer| answer.until);
            ask.into_iter().chain(over).min()
        };
        self.pairs.values().filter_map(of).min()
    }

    /// Waits for the next question to end; for ever while there is none.
    pub(super) async fn ended(&mut self) -> Option<Asked> {
        match self.tasks.join_next_with_id().await {
            Some(Ok((task, asked))) => {
                self.running.remove(&task);
                Some(asked)
            }
            // It panicked. The pair is not left alone for that.
            Some(Err(error)) => {
                let key = self.running.remove(&error.id())?;
                Some(Asked { key, answer: Err(Unanswered::new(error)) })
            }
            None => std::future::pending().await,
        }
    }

    /// Staples an answer, or notes why there is none.
    pub(super) fn take(&mut self, Asked { key, answer }: Asked) {
        let now = self.stapler.clock.now();
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        pair.busy = false;
        match answer {
            // A responder that goes back in time is one that lags, or somebody who plays an old answer.
            Ok(answer) if pair.answer.as_ref().is_none_or(|held| held.from <= answer.from) => {
                pair.certificate.staple(&key.1, Some(answer.der.clone()));
                pair.due = again(&answer, now);
                (pair.answer, pair.failures, pair.error) = (Some(Arc::new(answer)), 0, None);
            }
            other => {
                let older = || Unanswered::new("the responder gave an older answer");
                let Unanswered { reason, revoked } = other.err().unwrap_or_else(older);
                if revoked {
                    pair.answer = None;
                    pair.certificate.staple(&key.1, None);
                }
                pair.failures = pair.failures.saturating_add(1);
                pair.due = now + pause(pair.failures);
                told_failed(&key.0, pair, &reason);
                pair.error = Some(reason);
            }
        }
        status(&key, pair).into_iter().for_each(|status| self.board.put(status));
    }
}

/// What is said of a pair, if there is anything to say.
fn status((id, _): &Key, pair: &Pair) -> Option<StapleStatus> {
    (pair.must_staple || pair.subject.is_ok()).then(|| StapleStatus {
        id: id.to_string(),
        pair: pair.place,
        responder: pair.responder(),
        until: pair.answer.as_ref().map(|answer| answer.until),
        due: pair.subject.is_ok().then_some(pair.due),
        must_staple: pair.must_staple,
        error: pair.error.clone().or_else(|| pair.subject.as_ref().err().map(ToString::to_string)),
    })
}

impl Pair {
    fn new(certificate: &Arc<Certificate>, pair: &crate::tls::Pair, now: SystemTime) -> Self {
        let entry = Self {
            certificate: Arc::clone(certificate),
            place: 0,
            subject: Subject::of(pair).map(Arc::new),
            must_staple: needs_staple(pair),
            answer: None,
            due: now,
            busy: false,
            failures: 0,
            error: None,
        };
        if let Err(reason) = &entry.subject
            && (entry.must_staple || *reason != Unasked::NoResponder)
        {
            told_failed(certificate.id(), &entry, &reason.to_string());
        }
        entry
    }

    fn responder(&self) -> Option<String> {
        self.subject.as_ref().ok().map(|subject| subject.responder.to_string())
    }
}

/// When half of an answer's time is over, and at the soonest in a minute.
fn again(answer: &Answer, now: SystemTime) -> SystemTime {
    let half = answer.until.duration_since(answer.from).unwrap_or_default() / 2;
    (answer.from + half.mul_f64(0.9 + 0.2 * lot())).max(now + FIRST_PAUSE)
}

/// From a minute, doubled each time, up to an hour, of which chance takes up to a half away.
fn pause(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_PAUSE).mul_f64(1.0 - 0.5 * lot())
}

fn lot() -> f64 {
    f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(feature = "tracing")]
fn told_failed(id: &str, pair: &Pair, reason: &str) {
    let shown = pair.answer.is_some();
    match pair.must_staple && !shown {
        true => tracing::error!(certificate = id, reason, "clients refuse the certificate: it demands an OCSP answer"),
        false => tracing::warn!(certificate = id, reason, still_shown = shown, "no OCSP answer"),
    }
}

#[cfg(feature = "tracing")]
fn told_over(id: &str, pair: &Pair) {
    tracing::warn!(certificate = id, must_staple = pair.must_staple, "the OCSP answer is over, and there is no newer");
}

#[cfg(not(feature = "tracing"))]
fn told_failed(_: &str, _: &Pair, _: &str) {}

#[cfg(not(feature = "tracing"))]
fn told_over(_: &str, _: &Pair) {}

#[cfg(test)]
mod tests {
    use super::super::examples::{Authority, Said};
    use super::*;

    /// A table with one pair, and a round that has looked at it.
    async fn round(authority: &Authority) -> (Round, Certificates, Key) {
        let certificates = Certificates::new();
        let pair = authority.pair();
        // The same twice: one question is enough for both.
        let certificate = Certificate::builder("shop").name("shop.test").pair(pair.clone()).pair(pair.clone());
        certificates.put(certificate.build().unwrap());
        let mut round = Round::new(Stapler::new().unwrap(), certificates.clone(), Board::default());
        round.look().await;
        assert_eq!(round.pairs.len(), 1);
        let key = round.pairs.keys().next().unwrap().clone();
        (round, certificates, key)
    }

    fn shown(certificates: &Certificates) -> Vec<bool> {
        certificates.get("shop").unwrap().pairs().iter().map(|pair| pair.staple().is_some()).collect()
    }

    #[tokio::test]
    async fn what_the_issuer_revokes_is_not_shown_as_good_any_longer() {
        let authority = Authority::new();
        let (mut round, certificates, key) = round(&authority).await;
        let judge = |said| {
            let der = authority.answer(said, SystemTime::now());
            Answer::judge(&der, &authority.subject(), SystemTime::now()).map_err(Unanswered::from)
        };
        round.take(Asked { key: key.clone(), answer: judge(Said::Good) });
        assert_eq!(shown(&certificates), [true, true]);
        round.take(Asked { key: key.clone(), answer: Err(Unanswered::new("no answer")) });
        assert_eq!(shown(&certificates), [true, true], "what a responder fails to do takes nothing away");
        round.take(Asked { key, answer: judge(Said::Revoked) });
        assert_eq!(shown(&certificates), [false, false]);
        round.look().await;
        assert_eq!(shown(&certificates), [false, false]);
        let status = round.board.read();
        assert!(status[0].until.is_none() && status[0].error.as_ref().unwrap().contains("revoked"), "{status:?}");
    }

    #[tokio::test]
    async fn a_question_that_panics_is_a_failure_that_is_asked_again() {
        let (mut round, _certificates, key) = round(&Authority::new()).await;
        round.pairs.get_mut(&key).unwrap().busy = true;
        let task = round.tasks.spawn(async { panic!("on purpose") });
        round.running.insert(task.id(), key.clone());
        let ended = round.ended().await.unwrap();
        round.take(ended);
        let pair = &round.pairs[&key];
        assert!(!pair.busy && pair.failures == 1 && pair.due > SystemTime::now());
        assert!(pair.error.as_ref().unwrap().contains("panicked"), "{:?}", pair.error);
    }
}
