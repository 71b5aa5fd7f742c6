//! What a stapler does while it runs: it looks, asks, and staples.
//!
//! Of many pairs only those are looked at of which something became: what is due next stands in agendas.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use tokio::task::{self, JoinSet};

use super::answer::{Answer, Unanswered};
use super::stapler::Stapler;
use super::status::{Board, StapleStatus};
use super::subject::{Subject, Unasked, needs_staple};
use crate::agenda::Agenda;
use crate::tls::{Certificate, Certificates};

/// Questions that are open at once.
const QUESTIONS: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Everything of one run.
pub(super) struct Round {
    stapler: Stapler,
    certificates: Certificates,
    pairs: HashMap<Key, Pair>,
    /// When somebody is asked.
    questions: Agenda<Key>,
    /// When what is shown is over.
    ends: Agenda<Key>,
    tasks: JoinSet<Asked>,
    /// What each question is about, also when it ends without an answer.
    running: HashMap<task::Id, (Key, Arc<Subject>)>,
    board: Board,
}

/// Id, and digest of the certificate: what is replaced is another one.
pub(super) type Key = (Arc<str>, [u8; 32]);

/// What a question brought.
pub(super) struct Asked {
    key: Key,
    /// What was asked about.
    subject: Arc<Subject>,
    answer: Result<Answer, Unanswered>,
}

/// One pair of a certificate.
#[derive(Clone)]
struct Pair {
    certificate: Arc<Certificate>,
    leaf: CertificateDer<'static>,
    place: usize,
    subject: Result<Arc<Subject>, Unasked>,
    must_staple: bool,
    answer: Option<Arc<Answer>>,
    /// When somebody is asked.
    due: SystemTime,
    failures: u32,
    error: Option<String>,
}

/// What a look at the table found.
struct Looked {
    pairs: HashMap<Key, Pair>,
    /// Those that were not there before.
    fresh: Vec<Key>,
    /// Those that are at another place among the pairs of their certificate.
    moved: Vec<Key>,
    gone: Vec<Key>,
}

impl Round {
    pub(super) fn new(stapler: Stapler, certificates: Certificates, board: Board) -> Self {
        Self {
            stapler,
            certificates,
            pairs: HashMap::new(),
            questions: Agenda::default(),
            ends: Agenda::default(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            board,
        }
    }

    /// Takes up what is new in the table.
    pub(super) async fn look(&mut self) {
        let now = self.stapler.clock.now();
        let known = Arc::new(std::mem::take(&mut self.pairs));
        let before = Arc::clone(&known);
        let certificates = self.certificates.clone();
        // There may be a hundred thousand.
        let staples_unsaid = self.stapler.staples_unsaid;
        let looked = task::spawn_blocking(move || looked(&certificates, staples_unsaid, &known, now)).await;
        let Ok(Looked { pairs, fresh, moved, gone }) = looked else {
            // A look that failed forgets nothing: what is shown has to be taken away when it is over.
            self.pairs = Arc::unwrap_or_clone(before);
            return;
        };
        self.pairs = pairs;
        for key in gone {
            self.questions.set(&key, None);
            self.ends.set(&key, None);
            self.board.put(&key, None);
        }
        for key in &fresh {
            let pair = self.pairs.get(key);
            self.questions.set(key, pair.and_then(|pair| pair.subject.is_ok().then_some(pair.due)));
            // One that was known under other rules is begun anew.
            self.ends.set(key, None);
        }
        for key in fresh.iter().chain(&moved) {
            self.board.put(key, self.pairs.get(key).and_then(|pair| status(key, pair)));
        }
    }

    /// Asks what is due, as far as there is room, and takes away what is over.
    pub(super) fn begin(&mut self) {
        let now = self.stapler.clock.now();
        while let Some(key) = self.ends.take(now) {
            let Some(pair) = self.pairs.get_mut(&key) else { continue };
            pair.answer = None;
            pair.certificate.staple(&pair.leaf, None);
            told_over(&key.0, pair);
            self.board.put(&key, status(&key, pair));
        }
        while self.tasks.len() < QUESTIONS {
            let Some(key) = self.questions.take(now) else { break };
            let Some(Ok(subject)) = self.pairs.get(&key).map(|pair| &pair.subject) else { continue };
            let (stapler, subject) = (self.stapler.clone(), Arc::clone(subject));
            let running = (key.clone(), Arc::clone(&subject));
            let task = self.tasks.spawn(async move {
                let answer = stapler.ask(&subject).await;
                Asked { key, subject, answer }
            });
            self.running.insert(task.id(), running);
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<SystemTime> {
        let question = self.questions.first().filter(|_| self.tasks.len() < QUESTIONS);
        question.into_iter().chain(self.ends.first()).min()
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
                let (key, subject) = self.running.remove(&error.id())?;
                Some(Asked { key, subject, answer: Err(Unanswered::new(error)) })
            }
            None => std::future::pending().await,
        }
    }

    /// Staples an answer, or notes why there is none.
    pub(super) fn take(&mut self, Asked { key, subject, answer }: Asked) {
        let now = self.stapler.clock.now();
        // It may be gone, or have been begun anew under other rules, with a question of its own.
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        if !pair.subject.as_ref().is_ok_and(|now| Arc::ptr_eq(now, &subject)) {
            return;
        }
        match answer {
            // A responder that goes back in time is one that lags, or somebody who plays an old answer.
            Ok(answer) if pair.answer.as_ref().is_none_or(|held| held.from <= answer.from) => {
                pair.certificate.staple(&pair.leaf, Some(answer.der.clone()));
                pair.due = again(&pair.certificate, &answer, now);
                (pair.answer, pair.failures, pair.error) = (Some(Arc::new(answer)), 0, None);
            }
            other => {
                let older = || Unanswered::new("the responder gave an older answer");
                let Unanswered { reason, revoked } = other.err().unwrap_or_else(older);
                if revoked {
                    pair.answer = None;
                    pair.certificate.staple(&pair.leaf, None);
                }
                pair.failures = pair.failures.saturating_add(1);
                pair.due = now + pause(pair.failures);
                told_failed(&key.0, pair, &reason);
                pair.error = Some(reason);
            }
        }
        self.questions.set(&key, Some(pair.due));
        self.ends.set(&key, pair.answer.as_ref().map(|answer| answer.until));
        self.board.put(&key, status(&key, pair));
    }
}

/// The pairs of a table, with what is known of them.
fn looked(certificates: &Certificates, staples_unsaid: bool, known: &HashMap<Key, Pair>, now: SystemTime) -> Looked {
    let mut pairs: HashMap<Key, Pair> = HashMap::with_capacity(known.len());
    let (mut fresh, mut moved) = (Vec::new(), Vec::new());
    for certificate in certificates.all() {
        let is_stapled = certificate.stapling().map_or(staples_unsaid, |stapling| stapling.enabled);
        if !is_stapled && known.is_empty() {
            continue;
        }
        let id = certificate.shared_id();
        for (place, pair) in certificate.pairs().iter().enumerate() {
            let Some(leaf) = pair.chain().first() else { continue };
            let key = (Arc::clone(&id), *blake3::hash(leaf).as_bytes());
            // Two pairs of one certificate: they are stapled together.
            if pairs.contains_key(&key) {
                continue;
            }
            if !is_stapled {
                if known.get(&key).is_some_and(|known| known.answer.is_some()) {
                    certificate.staple(leaf, None);
                }
                continue;
            }
            let entry = match known.get(&key) {
                // What was shown whoever signed it is not shown any longer where that counts.
                Some(known) if skips_verify(&known.certificate) != skips_verify(&certificate) => {
                    certificate.staple(leaf, None);
                    fresh.push(key.clone());
                    Pair::new(&certificate, pair, leaf, place, now)
                }
                Some(known) => {
                    if known.place != place {
                        moved.push(key.clone());
                    }
                    Pair { certificate: Arc::clone(&certificate), place, ..known.clone() }
                }
                None => {
                    fresh.push(key.clone());
                    Pair::new(&certificate, pair, leaf, place, now)
                }
            };
            // The certificate was replaced by another form of itself.
            if let Some(answer) = entry.answer.as_ref().filter(|_| pair.staple().is_none()) {
                certificate.staple(leaf, Some(answer.der.clone()));
            }
            pairs.insert(key, entry);
        }
    }
    let gone = known.keys().filter(|key| !pairs.contains_key(*key)).cloned().collect();
    Looked { pairs, fresh, moved, gone }
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
    fn new(
        certificate: &Arc<Certificate>,
        pair: &crate::tls::Pair,
        leaf: &CertificateDer<'static>,
        place: usize,
        now: SystemTime,
    ) -> Self {
        let entry = Self {
            certificate: Arc::clone(certificate),
            leaf: leaf.clone(),
            place,
            subject: Subject::of(pair, skips_verify(certificate)).map(Arc::new),
            must_staple: needs_staple(pair),
            answer: None,
            due: now,
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

/// Whether who signs an answer does not count.
fn skips_verify(certificate: &Certificate) -> bool {
    certificate.stapling().is_some_and(|stapling| stapling.skip_verify)
}

/// When half of an answer's time is over or, where the certificate says so, sooner; at the soonest in a minute.
fn again(certificate: &Certificate, answer: &Answer, now: SystemTime) -> SystemTime {
    let half = answer.until.duration_since(answer.from).unwrap_or_default() / 2;
    let half = answer.from + half.mul_f64(0.9 + 0.2 * lot());
    let sooner = certificate.stapling().and_then(|stapling| now.checked_add(stapling.cache_ttl));
    sooner.map_or(half, |sooner| half.min(sooner)).max(now + FIRST_PAUSE)
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
    use crate::tls::Stapling;

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

    /// What is asked about now.
    fn subject(round: &Round, key: &Key) -> Arc<Subject> {
        Arc::clone(round.pairs[key].subject.as_ref().unwrap())
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
        round.take(Asked { key: key.clone(), subject: subject(&round, &key), answer: judge(Said::Good) });
        assert_eq!(shown(&certificates), [true, true]);
        round.take(Asked {
            key: key.clone(),
            subject: subject(&round, &key),
            answer: Err(Unanswered::new("no answer")),
        });
        assert_eq!(shown(&certificates), [true, true], "what a responder fails to do takes nothing away");
        round.take(Asked { subject: subject(&round, &key), key, answer: judge(Said::Revoked) });
        assert_eq!(shown(&certificates), [false, false]);
        round.look().await;
        assert_eq!(shown(&certificates), [false, false]);
        let status = round.board.read();
        assert!(status[0].until.is_none() && status[0].error.as_ref().unwrap().contains("revoked"), "{status:?}");
    }

    #[tokio::test]
    async fn a_question_that_panics_is_a_failure_that_is_asked_again() {
        let (mut round, _certificates, key) = round(&Authority::new()).await;
        assert!(round.questions.take(SystemTime::now()).is_some());
        let task = round.tasks.spawn(async { panic!("on purpose") });
        round.running.insert(task.id(), (key.clone(), subject(&round, &key)));
        let ended = round.ended().await.unwrap();
        round.take(ended);
        let pair = &round.pairs[&key];
        assert!(pair.failures == 1 && pair.due > SystemTime::now());
        assert_eq!(round.questions.first(), Some(pair.due));
        assert!(pair.error.as_ref().unwrap().contains("panicked"), "{:?}", pair.error);
    }
    #[tokio::test]
    async fn what_is_over_is_taken_away_and_what_is_gone_is_forgotten() {
        let authority = Authority::new();
        let (mut round, certificates, key) = round(&authority).await;
        let der = authority.answer(Said::Good, SystemTime::now());
        let good = Answer::judge(&der, &authority.subject(), SystemTime::now()).unwrap();
        round.take(Asked {
            key: key.clone(),
            subject: subject(&round, &key),
            answer: Ok(Answer { until: SystemTime::now(), ..good.clone() }),
        });
        assert_eq!(shown(&certificates), [true, true]);
        round.questions.set(&key, None);
        round.begin();
        assert_eq!((shown(&certificates), round.ends.first()), (vec![false, false], None));
        round.take(Asked { key: key.clone(), subject: subject(&round, &key), answer: Ok(good.clone()) });
        assert_eq!(round.next(), round.questions.first());
        let subject = subject(&round, &key);
        certificates.remove("shop");
        round.look().await;
        assert_eq!((round.next(), round.board.read()), (None, vec![]));
        round.take(Asked { key, subject, answer: Ok(good) });
        assert_eq!(round.next(), None, "what comes late is for nobody");
    }

    #[tokio::test]
    async fn a_certificate_that_is_installed_is_asked_about_at_once() {
        let (certificates, authority) = (Certificates::new(), Authority::new());
        certificates.put(Certificate::builder("shop").name("shop.test").issued().build().unwrap());
        certificates.put(Certificate::builder("other").name("other.test").pair(authority.pair()).build().unwrap());
        let stapler = Stapler::new().unwrap().with_look_every(Duration::from_secs(60 * 60));
        let run = tokio::spawn({
            let (stapler, certificates) = (stapler.clone(), certificates.clone());
            async move { stapler.run(certificates).await }
        });
        let until = |count| {
            let stapler = &stapler;
            tokio::time::timeout(Duration::from_secs(20), async move {
                while stapler.status().len() < count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        until(1).await.unwrap();
        certificates.get("shop").unwrap().install(vec![Authority::new().pair()]).unwrap();
        until(2).await.unwrap();
        run.abort();
    }
    #[tokio::test]
    async fn a_certificate_says_itself_whether_and_how_it_is_stapled() {
        let authority = Authority::new();
        let (mut round, certificates, key) = round(&authority).await;
        let put = |stapling: Stapling| {
            let certificate = Certificate::builder("shop").name("shop.test").pair(authority.pair());
            certificates.put(certificate.stapling(stapling).build().unwrap());
        };
        let ttl = Duration::from_secs(300);
        put(Stapling { cache_ttl: ttl, ..Stapling::default() });
        round.look().await;
        let now = SystemTime::now();
        let der = authority.answer(Said::Good, now);
        let good = Answer::judge(&der, &authority.subject(), now).unwrap();
        round.take(Asked { key: key.clone(), subject: subject(&round, &key), answer: Ok(good.clone()) });
        assert_eq!(shown(&certificates), [true]);
        let due = round.questions.first().unwrap();
        assert!(due >= now + ttl && due < now + 2 * ttl, "half of a day would be later");
        put(Stapling { enabled: false, ..Stapling::default() });
        round.look().await;
        assert_eq!((shown(&certificates), round.next()), (vec![false], None));
        put(Stapling { skip_verify: true, ..Stapling::default() });
        round.look().await;
        round.take(Asked { key: key.clone(), subject: subject(&round, &key), answer: Ok(good.clone()) });
        assert_eq!(shown(&certificates), [true]);
        let asked = subject(&round, &key);
        put(Stapling::default());
        round.look().await;
        round.take(Asked { key: key.clone(), subject: asked, answer: Ok(good.clone()) });
        assert_eq!((shown(&certificates), round.ends.first()), (vec![false], None), "it was taken from anybody");
        round.stapler.staples_unsaid = false;
        round.look().await;
        assert_eq!(round.pairs.len(), 1, "this one says it");
        certificates.put(Certificate::builder("shop").name("shop.test").pair(authority.pair()).build().unwrap());
        round.look().await;
        assert_eq!(round.pairs.len(), 0);
    }
}
