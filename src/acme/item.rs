//! One certificate that is seen to: what is in force, and when something is due. Pure.
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::authority::{Window, covers};
use super::claim::Failures;
use super::folder::Stamp;
use super::schedule::{Life, lot};
use super::status::Told;
use crate::tls::{Certificate, Pair};

/// One certificate of the table.
pub(super) struct Item {
    pub(super) certificate: Arc<Certificate>,
    pub(super) names: Arc<[String]>,
    /// The state of the file that was looked at last.
    pub(super) stamp: Option<Stamp>,
    held: Option<Held>,
    pub(super) failures: Failures,
    /// Nothing is tried before.
    pub(super) next_try: SystemTime,
    /// Whether a task is at it.
    pub(super) busy: bool,
    /// When the authority is asked when to renew.
    pub(super) ask_at: Option<SystemTime>,
    lot: f64,
}

struct Held {
    pair: Pair,
    arrived: SystemTime,
    /// What the authority said about when to renew.
    wanted: Option<SystemTime>,
}

impl Item {
    pub(super) fn new(certificate: Arc<Certificate>, now: SystemTime) -> Self {
        let names = certificate.names().map(str::to_owned).collect();
        Self {
            certificate,
            names,
            stamp: None,
            held: None,
            failures: Failures::default(),
            next_try: now,
            busy: false,
            ask_at: None,
            lot: lot(),
        }
    }

    /// Takes what became of the certificate in another configuration. What is in force stays so, if it can; a change is a
    /// reason to try at once.
    pub(super) fn replace(&mut self, certificate: Arc<Certificate>, now: SystemTime) {
        let before = std::mem::replace(self, Self::new(certificate, now));
        self.busy = before.busy;
        if let Some(held) = before.held.filter(|held| covers(&held.pair, &self.names)) {
            self.show(&held.pair);
            (self.held, self.lot, self.ask_at, self.stamp) = (Some(held), before.lot, before.ask_at, before.stamp);
        }
    }

    /// Whether an authority gives a certificate for such names without `dns-01`.
    pub(super) fn is_possible(&self) -> bool {
        self.names.iter().all(|name| !name.contains('*') && name.contains(|letter: char| letter != '.'))
    }

    /// The pair in force.
    pub(super) fn pair(&self) -> Option<&Pair> {
        self.held.as_ref().map(|held| &held.pair)
    }

    /// Puts a pair into force that came at `arrived`. Where the same is so already, it keeps its age.
    pub(super) fn hold(&mut self, pair: Pair, arrived: SystemTime, now: SystemTime) {
        if self.pair().is_none_or(|held| held.chain().first() != pair.chain().first()) {
            self.held = Some(Held { pair: pair.clone(), arrived, wanted: None });
            self.ask_at = Some(now);
            self.failures = Failures::default();
            self.lot = lot();
        }
        self.show(&pair);
    }

    /// Has handshakes show a pair, unless they do so already: what is shown may have a staple.
    fn show(&self, pair: &Pair) {
        if self.certificate.pairs().first().is_none_or(|shown| shown.chain() != pair.chain()) {
            // It only refuses to have none.
            _ = self.certificate.install(vec![pair.clone()]);
        }
    }

    /// Takes the authority's wish about when to renew: a moment in a window, another one for each gateway.
    pub(super) fn want(&mut self, Window { from, to, .. }: Window) {
        let moment = from + to.duration_since(from).unwrap_or_default().mul_f64(self.lot);
        if let Some(held) = &mut self.held {
            held.wanted = Some(moment);
        }
    }

    /// When the next order is due, with `share` of the life left.
    pub(super) fn due(&self, share: f64) -> SystemTime {
        let Some(held) = &self.held else { return self.next_try };
        let life = Life { from: held.pair.not_before(), to: held.pair.not_after() };
        // The authority's wish goes before our own rule, but not to the edge.
        let renewal = match held.wanted {
            Some(wanted) => wanted.min(life.renewal(0.05, self.lot)),
            None => life.renewal(share, self.lot),
        };
        renewal.max(held.arrived + life.rest()).max(self.next_try)
    }

    /// A failure, and when to try again.
    pub(super) fn fail(&mut self, failures: Failures, until: SystemTime) {
        self.failures = failures;
        self.next_try = until;
    }

    /// Leaves the item alone for a while: others are at it.
    pub(super) fn wait(&mut self, until: SystemTime) {
        self.next_try = until;
    }

    /// What there is to say of it, with `share` of the life left for the renewal.
    pub(super) fn told(&self, share: f64) -> Told {
        Told {
            names: Arc::clone(&self.names),
            is_possible: self.is_possible(),
            is_busy: self.busy,
            not_after: self.held.as_ref().map(|held| held.pair.not_after()),
            due: self.due(share),
            failures: self.failures.clone(),
        }
    }
}

/// After how long an authority is asked again when to renew: as it says, within bounds.
pub(super) fn ask_again(hint: Option<Duration>) -> Duration {
    let hour = Duration::from_secs(60 * 60);
    hint.map_or(6 * hour, |hint| hint.clamp(hour, 24 * hour))
}
