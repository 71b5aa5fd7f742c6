//! Items that have not changed stay the very same, so that nobody compiles them again.
use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Described, Fold, Items, Snapshot};

/// `snapshot` with every list and item that equals one of `before` replaced by it.
pub(super) fn share(snapshot: Snapshot, before: &Snapshot) -> Snapshot {
    let mut shared = snapshot.fold(before, &mut Share);
    if shared.settings == before.settings {
        shared.settings = Arc::clone(&before.settings);
    }
    shared
}

struct Share;

impl Fold for Share {
    fn items<T: Described>(&mut self, items: Items<T>, before: &Items<T>) -> Items<T> {
        let known: HashMap<_, _> = before.iter().map(|item| (item.id(), item)).collect();
        let shared: Items<T> = items
            .iter()
            .map(|item| Arc::clone(known.get(item.id()).copied().filter(|known| *known == item).unwrap_or(item)))
            .collect();
        let unchanged = shared.len() == before.len()
            && shared.iter().zip(before.iter()).all(|(now, before)| Arc::ptr_eq(now, before));
        if unchanged { before.clone() } else { shared }
    }
}
