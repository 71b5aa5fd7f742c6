//! The table of certificates: one value, of which the next is made in logarithmic time.
use std::sync::Arc;

use rpds::HashTrieMapSync;

use super::Certificate;
use super::name::behind_first_label;

/// A certificate with its place in the order of candidates.
#[derive(Clone)]
pub(super) struct Entry {
    /// Lower comes first.
    pub(super) order: u64,
    pub(super) certificate: Arc<Certificate>,
}

/// Those that have one name, in their order. Nearly always it is one.
type Row = Arc<[Entry]>;

#[derive(Clone, Default)]
pub(super) struct Table {
    ids: HashTrieMapSync<Arc<str>, Entry>,
    exact: HashTrieMapSync<Arc<str>, Row>,
    /// By what stands behind the star: `.rest`; of `*` nothing.
    wild: HashTrieMapSync<Arc<str>, Row>,
    challenges: HashTrieMapSync<Arc<str>, super::Pair>,
    /// How many demand certificates of clients.
    demanding: usize,
}

impl Table {
    /// Those that may answer for a normal name, best first.
    pub(super) fn candidates(&self, name: &str) -> impl Iterator<Item = &Arc<Certificate>> {
        // Each is looked up when those before have all been passed over.
        let exact = std::iter::once_with(|| self.exact.get(name));
        let label = std::iter::once_with(move || self.wild.get(behind_first_label(name)?));
        let any = std::iter::once_with(|| self.wild.get(""));
        exact.chain(label).chain(any).flatten().flat_map(|row| row.iter()).map(|entry| &entry.certificate)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Entry> {
        self.ids.get(id)
    }

    /// Whether any of them demands certificates of clients.
    pub(super) fn is_demanding(&self) -> bool {
        self.demanding > 0
    }

    /// All, in their order.
    pub(super) fn all(&self) -> Vec<Arc<Certificate>> {
        let mut entries: Vec<&Entry> = self.ids.values().collect();
        entries.sort_by_key(|entry| entry.order);
        entries.into_iter().map(|entry| Arc::clone(&entry.certificate)).collect()
    }

    /// Adds one, or replaces that of its id.
    pub(super) fn put(&mut self, entry: Entry) {
        self.remove(entry.certificate.id());
        for name in entry.certificate.shared_names() {
            let (map, key) = self.row(name);
            let row = map.get(&*key).map_or(&[][..], |row| row);
            let place = row.partition_point(|other| other.order <= entry.order);
            let (before, behind) = row.split_at_checked(place).unwrap_or((row, &[]));
            let row = before.iter().chain([&entry]).chain(behind).cloned().collect();
            map.insert_mut(key, row);
        }
        self.demanding += usize::from(entry.certificate.client().is_some());
        self.ids.insert_mut(entry.certificate.shared_id(), entry);
    }

    /// Takes one out, and tells whether there was one.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(entry) = self.ids.get(id).cloned() else { return false };
        self.ids.remove_mut(id);
        self.demanding -= usize::from(entry.certificate.client().is_some());
        for name in entry.certificate.shared_names() {
            let (map, key) = self.row(name);
            let Some(row) = map.get(&*key) else { continue };
            let row: Row = row.iter().filter(|other| other.certificate.id() != id).cloned().collect();
            if row.is_empty() {
                map.remove_mut(&*key)
            } else {
                map.insert_mut(key, row);
                true
            };
        }
        true
    }

    pub(super) fn set_challenge(&mut self, name: &str, shown: Option<super::Pair>) {
        match shown {
            Some(pair) => self.challenges.insert_mut(name.into(), pair),
            None => drop(self.challenges.remove_mut(name)),
        }
    }

    pub(super) fn challenge(&self, name: &str) -> Option<&super::Pair> {
        self.challenges.get(name)
    }

    /// Where a name stands, and under which key.
    fn row(&mut self, name: &Arc<str>) -> (&mut HashTrieMapSync<Arc<str>, Row>, Arc<str>) {
        match name.strip_prefix('*') {
            None => (&mut self.exact, Arc::clone(name)),
            Some(rest) => (&mut self.wild, rest.into()),
        }
    }
}
