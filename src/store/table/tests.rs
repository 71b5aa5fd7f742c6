//! The table against a plain map that remembers every state it ever had.
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What the table should be.
#[derive(Default)]
struct Reference {
    /// The state at each revision, from 0 on.
    states: Vec<BTreeMap<Key, Entry>>,
    expires: BTreeMap<Key, Duration>,
}

impl Reference {
    fn new() -> Self {
        Self { states: vec![BTreeMap::new()], expires: BTreeMap::new() }
    }

    fn revision(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn now(&self) -> &BTreeMap<Key, Entry> {
        self.states.last().unwrap()
    }

    fn expire(&mut self, now: Duration) {
        let mut next = self.now().clone();
        self.expires.retain(|key, at| *at > now || next.remove(key).is_none());
        if next != *self.now() {
            self.states.push(next);
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Modified { key, at } => self.now().get(key).map_or(0, |entry| entry.modified) == *at,
            Guard::Exists(key) => self.now().contains_key(key),
            Guard::Unchanged { prefix, since } => {
                let mut below = self.now().iter().filter(|(key, _)| key.as_str().starts_with(prefix));
                below.all(|(_, entry)| entry.modified <= *since)
            }
        }
    }

    /// The revision with it, or `None` for a conflict.
    fn commit(&mut self, transaction: &Transaction, now: Duration) -> Option<u64> {
        if !transaction.guards.iter().all(|guard| self.holds(guard)) {
            return None;
        }
        let (mut next, revision) = (self.now().clone(), self.revision() + 1);
        for edit in &transaction.edits {
            self.expires.remove(edit.key());
            match edit {
                Edit::Delete { key } => drop(next.remove(key)),
                Edit::Put { key, value, ttl } => {
                    let created = next.get(key).map_or(revision, |entry| entry.created);
                    next.insert(key.clone(), Entry { value: value.clone(), created, modified: revision });
                    self.expires.extend(ttl.map(|ttl| (key.clone(), now + ttl)));
                }
            }
        }
        // a put always makes another state: its revision is new
        if next != *self.now() {
            self.states.push(next);
        }
        Some(self.revision())
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Transactions that are drafted together, as a group of the disk store is.
    Group(Vec<Transaction>),
    Pass(Duration),
    Forget(usize),
}

const KEYS: [&str; 6] = ["routes/1", "routes/10", "routes/2", "services/1", "consumers/a", "consumers/a/credentials/b"];

fn key() -> impl Strategy<Value = Key> {
    (0..KEYS.len()).prop_map(|index| Key::parse(KEYS[index]).unwrap())
}

fn guard() -> impl Strategy<Value = Guard> {
    let prefix = prop_oneof![Just(""), Just("routes/"), Just("routes/1"), Just("consumers/a/"), Just("upstreams/")];
    prop_oneof![
        (key(), 0..40_u64).prop_map(|(key, at)| Guard::Modified { key, at }),
        key().prop_map(Guard::Exists),
        (prefix, 0..60_u64).prop_map(|(prefix, since)| Guard::Unchanged { prefix: prefix.to_owned(), since }),
    ]
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let ttl = proptest::option::weighted(0.3, (0..20_u64).prop_map(Duration::from_secs));
    let put = (any::<u8>(), ttl).prop_map(|(value, ttl)| Some((value, ttl)));
    let edit = prop_oneof![3 => put, 1 => Just(None)];
    proptest::collection::btree_map(key(), edit, 0..4).prop_map(|edits| {
        let edit = |(key, edit)| match edit {
            Some((value, ttl)) => Edit::Put { key, value: vec![value].into(), ttl },
            None => Edit::Delete { key },
        };
        edits.into_iter().map(edit).collect()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let guards = prop_oneof![2 => Just(Vec::new()), 1 => vec(guard(), 1..3)];
    let transaction = (guards, edits()).prop_map(|(guards, edits)| Transaction { guards, edits, by: None });
    prop_oneof![
        8 => vec(transaction, 1..4).prop_map(Step::Group),
        2 => (0..15_u64).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        1 => (0..10_usize).prop_map(Step::Forget),
    ]
}

fn state(table: &Table) -> BTreeMap<Key, Entry> {
    table.load().entries.into_iter().collect()
}

/// Whatever is remembered leads from the state it begins at to the present one, over every state in between.
fn check(table: &Table, reference: &Reference) -> Result<(), TestCaseError> {
    prop_assert_eq!(table.revision(), reference.revision());
    prop_assert_eq!(&state(table), reference.now());
    for from in 0..reference.states.len() {
        let Since::Changes(changes) = table.since(from as u64 + 1, usize::MAX) else {
            prop_assert!((from as u64) < table.forgotten(), "revision {} is not known", from + 1);
            continue;
        };
        prop_assert!(from as u64 >= table.forgotten());
        let (mut state, mut at) = (reference.states[from].clone(), from as u64);
        for change in changes {
            prop_assert_eq!(change.revision, at + 1, "revisions go forward, and none is left out");
            at = change.revision;
            for edit in &change.edits {
                prop_assert_eq!(edit.before.as_deref(), state.get(&edit.key), "before");
                match &edit.after {
                    Some(after) => drop(state.insert(edit.key.clone(), Entry::clone(after))),
                    None => drop(state.remove(&edit.key)),
                }
            }
            prop_assert_eq!(&state, &reference.states[at as usize]);
        }
        prop_assert_eq!(at, reference.revision());
    }
    prop_assert_eq!(table.since(reference.revision() + 2, usize::MAX), Since::Compacted);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn random_histories_are_those_of_a_plain_map(steps in vec(step(), 1..30), changes in 1_usize..40) {
        let mut table = Table::new(HistoryBounds { changes, bytes: u64::MAX });
        let mut reference = Reference::new();
        let mut elapsed = Duration::ZERO;
        for step in steps {
            match step {
                Step::Pass(time) => elapsed += time,
                Step::Forget(keep) => table.forget(keep),
                Step::Group(transactions) => {
                    let mut draft = Draft::new(&table, Now { elapsed, at: UNIX_EPOCH });
                    reference.expire(elapsed);
                    for transaction in &transactions {
                        let expected = reference.commit(transaction, elapsed).ok_or(Refusal::Conflict);
                        prop_assert_eq!(draft.take(transaction), expected, "{:?}", transaction);
                    }
                    let drafted = draft.finish();
                    table.accept(drafted);
                    prop_assert_eq!(table.next_expiry(), reference.expires.values().min().copied());
                    check(&table, &reference)?;
                }
            }
        }
    }
}

/// A table that is made anew of what was written down is the same.
#[test]
fn a_restored_table_goes_on() {
    let bounds = HistoryBounds::default();
    let mut table = Table::new(bounds);
    let put = |text: &str, ttl| Edit::Put { key: Key::parse(text).unwrap(), value: "x".into(), ttl };
    let now = Now { elapsed: Duration::from_secs(1), at: UNIX_EPOCH };
    for ttl in [None, Some(Duration::from_secs(5))] {
        let mut draft = Draft::new(&table, now);
        let edits = vec![put("routes/1", None), put("routes/2", ttl)];
        draft.take(&Transaction { edits, ..Transaction::default() }).unwrap();
        let drafted = draft.finish();
        table.accept(drafted);
    }
    let changes = table.changes().map(|change| Change::clone(change)).collect();
    let restored = Table::restored(bounds, table.revision(), table.slots.clone(), changes);
    assert_eq!(state(&restored), state(&table));
    assert_eq!(restored.next_expiry(), Some(Duration::from_secs(6)));
    assert_eq!(restored.since(1, 9), table.since(1, 9));
    assert_eq!(restored.since(3, 9), Since::Changes(Vec::new()));
}
