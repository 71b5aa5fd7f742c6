//! What an issuer says of itself.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::claim::Failures;

/// How an issuer is doing. As JSON, times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The authority's directory.
    pub directory: String,
    /// Each certificate that it sees to, by id.
    pub items: Vec<ItemStatus>,
}

/// How one certificate is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ItemStatus {
    /// Its id.
    pub id: String,
    /// Its server names.
    pub names: Vec<String>,
    /// What is in force and what is done about it.
    pub state: State,
    /// When the one in force is over.
    #[serde(serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<SystemTime>,
    /// When the next order, or the next try, is due.
    #[serde(serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub due: Option<SystemTime>,
    /// Orders in a row that failed, whichever gateway on the folder made them.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is in force of a certificate and what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// One is in force, and not due yet.
    Valid,
    /// One is in force, and the next is ordered or about to be.
    Renewing,
    /// There is none yet; it is ordered or about to be.
    Ordering,
    /// It failed, and is tried again. What was in force stays so until it is over.
    Failing,
    /// It cannot be had with these names.
    Impossible,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn seconds<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    since.serialize(serializer)
}

/// What is said of an item when something becomes of it. How that stands is worked out for the moment at which somebody asks.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) names: Arc<[String]>,
    pub(super) is_possible: bool,
    /// Whether a task is at it.
    pub(super) is_busy: bool,
    pub(super) not_after: Option<SystemTime>,
    pub(super) due: SystemTime,
    pub(super) failures: Failures,
}

impl Told {
    /// The status at `now`, with an authority that nobody asks before `quiet`.
    fn at(&self, id: &str, now: SystemTime, quiet: SystemTime) -> ItemStatus {
        let in_force = self.not_after.is_some_and(|end| end > now);
        let state = match in_force {
            _ if !self.is_possible => State::Impossible,
            _ if self.failures.count > 0 => State::Failing,
            false => State::Ordering,
            true if self.is_busy || self.due <= now => State::Renewing,
            true => State::Valid,
        };
        let impossible = "wildcards need the challenge dns-01, which is not spoken";
        ItemStatus {
            id: id.to_owned(),
            names: self.names.to_vec(),
            state,
            not_after: self.not_after,
            due: self.is_possible.then_some(self.due.max(quiet)),
            failures: self.failures.count,
            error: if self.is_possible { self.failures.last.clone() } else { Some(impossible.to_owned()) },
        }
    }
}

/// What was said last of each item, which the issuer writes and others read.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<Items>>);

type Items = BTreeMap<Arc<str>, Told>;

impl Board {
    /// How each item is at `now`, with an authority that nobody asks before `quiet`.
    pub(super) fn read(&self, now: SystemTime, quiet: SystemTime) -> Vec<ItemStatus> {
        self.items().iter().map(|(id, told)| told.at(id, now, quiet)).collect()
    }

    /// Replaces what is said of an item; `None` when it is gone.
    pub(super) fn put(&self, id: &Arc<str>, told: Option<Told>) {
        match told {
            Some(told) => drop(self.items().insert(Arc::clone(id), told)),
            None => drop(self.items().remove(id)),
        }
    }

    fn items(&self) -> MutexGuard<'_, Items> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_unix_seconds() {
        let item = ItemStatus {
            id: "shop".to_owned(),
            names: vec!["shop.test".to_owned()],
            state: State::Renewing,
            not_after: Some(UNIX_EPOCH + Duration::from_millis(7500)),
            due: None,
            failures: 0,
            error: None,
        };
        let text = serde_json::to_string(&item).unwrap();
        assert_eq!(text, r#"{"id":"shop","names":["shop.test"],"state":"renewing","not_after":7}"#);
    }

    #[test]
    fn a_state_is_that_of_the_moment() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let told = Told {
            names: ["shop.test".to_owned()].into(),
            is_possible: true,
            is_busy: false,
            not_after: Some(at(100)),
            due: at(60),
            failures: Failures::default(),
        };
        let board = Board::default();
        board.put(&"shop".into(), Some(told.clone()));
        for (now, state) in [(59, State::Valid), (60, State::Renewing), (100, State::Ordering)] {
            let [item] = &*board.read(at(now), UNIX_EPOCH) else { panic!("one") };
            assert_eq!((item.state, item.due), (state, Some(at(60))), "{now}");
        }
        assert_eq!(board.read(at(0), at(70))[0].due, Some(at(70)), "nobody is asked before");
        board.put(&"shop".into(), Some(Told { is_possible: false, ..told }));
        assert_eq!((board.read(at(0), at(0))[0].state, board.read(at(0), at(0))[0].due), (State::Impossible, None));
        board.put(&"shop".into(), None);
        assert!(board.read(at(0), at(0)).is_empty());
    }
}
