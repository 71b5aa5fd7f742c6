//! What a server has: every revision that was, to compare with.
use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::watch;

use super::super::message::{Event, EventType, KeyValue};

type Changes = Vec<(String, Option<String>)>;
pub(super) type State = BTreeMap<String, KeyValue>;

/// A store with its whole history. Revision 1 is empty.
pub(super) struct Model {
    history: Mutex<Vec<Changes>>,
    pub(super) revision: watch::Sender<i64>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { history: Mutex::default(), revision: watch::Sender::new(1) }
    }

    /// Makes a revision. A change of `None` is a removal of what is there.
    pub(super) fn commit(&self, changes: Changes) {
        self.history.lock().unwrap().push(changes);
        self.revision.send_modify(|revision| *revision += 1);
    }

    pub(super) fn now(&self) -> i64 {
        *self.revision.borrow()
    }

    /// All that there was at a revision, with the keys as etcd has them.
    pub(super) fn at(&self, revision: i64) -> State {
        let mut state = State::new();
        for (revision, changes) in (2..=revision).zip(&*self.history.lock().unwrap()) {
            for (key, value) in changes {
                let Some(value) = value else {
                    state.remove(key);
                    continue;
                };
                let created = state.get(key).map_or(revision, |kv| kv.create_revision);
                state.insert(key.clone(), item(key, created, revision, value));
            }
        }
        state
    }

    /// What a watch tells of a revision.
    pub(super) fn events(&self, revision: i64) -> Vec<Event> {
        let now = self.at(revision);
        let history = self.history.lock().unwrap();
        let changes = &history[usize::try_from(revision - 2).unwrap()];
        let event = |(key, value): &(String, Option<String>)| match value {
            Some(_) => Event { r#type: EventType::Put.into(), kv: Some(now[key].clone()) },
            None => Event { r#type: EventType::Delete.into(), kv: Some(item(key, 0, revision, "")) },
        };
        changes.iter().map(event).collect()
    }
}

fn item(key: &str, create_revision: i64, mod_revision: i64, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned().into(), create_revision, mod_revision, value: value.to_owned().into() }
}

/// Numbers that look random, the same for each seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}
