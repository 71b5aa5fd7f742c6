//! What a stapler does while it runs: it looks, asks, and staples.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::stapler::Stapler;
use super::status::StapleStatus;
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
}

type Key = (Arc<str>, CertificateDer<'static>);

/// What a question brought.
pub(super) struct Asked {
    key: Key,
    answer: Result<Answer, String>,
}

/// One pair of a certificate.
struct Pair {
    certificate: Arc<Certificate>,
    place: usize,
    subject: Result<Arc<Subject>, Unasked>,
    must_staple: bool,
    answer: Option<Answer>,
    /// When somebody is asked.
    due: SystemTime,
    busy: bool,
    failures: u32,
    error: Option<String>,
}

impl Round {
    pub(super) fn new(stapler: Stapler, certificates: Certificates) -> Self {
        Self { stapler, certificates, pairs: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Takes up what is new in the table.
    pub(super) async fn look(&mut self) {
        let now = self.stapler.clock.now();
        let mut known = std::mem::take(&mut self.pairs);
        let certificates = self.certificates.clone();
        // There may be a hundred thousand.
        let looked = tokio::task::spawn_blocking(move || {
            let mut pairs = HashMap::with_capacity(known.len());
            for certificate in certificates.all() {
                let id: Arc<str> = certificate.id().into();
                for (place, pair) in certificate.pairs().iter().enumerate() {
                    let Some(leaf) = pair.chain().first() else { continue };
                    let key = (Arc::clone(&id), leaf.clone());
                    let mut entry = known.remove(&key).unwrap_or_else(|| Pair::new(&certificate, pair, now));
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
        self.pairs = looked.await.unwrap_or_default();
    }

    /// Asks what is due, as far as there is room, and takes away what is over.
    pub(super) fn begin(&mut self) {
        let now = self.stapler.clock.now();
        for (key, pair) in &mut self.pairs {
            if pair.answer.as_ref().is_some_and(|answer| answer.until <= now) {
                pair.answer = None;
                pair.certificate.staple(&key.1, None);
                told_over(&key.0, pair);
            }
            let Ok(subject) = &pair.subject else { continue };
            if pair.busy || pair.due > now || self.tasks.len() >= QUESTIONS {
                continue;
            }
            pair.busy = true;
            let (stapler, subject, key) = (self.stapler.clone(), Arc::clone(subject), key.clone());
            self.tasks.spawn(async move { Asked { key, answer: stapler.ask(&subject).await } });
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
        match self.tasks.join_next().await {
            Some(ended) => ended.ok(),
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
                (pair.answer, pair.failures, pair.error) = (Some(answer), 0, None);
            }
            other => {
                let reason = other.err().unwrap_or_else(|| "the responder gave an older answer".to_owned());
                pair.failures = pair.failures.saturating_add(1);
                pair.due = now + pause(pair.failures);
                told_failed(&key.0, pair, &reason);
                pair.error = Some(reason);
            }
        }
    }

    pub(super) fn status(&self) -> Vec<StapleStatus> {
        let told = self.pairs.iter().filter(|(_, pair)| pair.must_staple || pair.responder().is_some());
        let status = told.map(|((id, _), pair)| StapleStatus {
            id: id.to_string(),
            pair: pair.place,
            responder: pair.responder(),
            until: pair.answer.as_ref().map(|answer| answer.until),
            due: pair.subject.is_ok().then_some(pair.due),
            must_staple: pair.must_staple,
            error: pair.error.clone().or_else(|| pair.subject.as_ref().err().map(ToString::to_string)),
        });
        status.collect()
    }
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
