//! Blocks that share counters have to be equal.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::plugin::Scope;

/// The groups that blocks in force use. A clone is the same.
#[derive(Clone, Default)]
pub(super) struct Groups(Arc<Mutex<Table>>);

/// By group and version how many blocks of each resource are in force: more than one while requests end on an older one.
type Table = HashMap<String, HashMap<String, HashMap<Scope, usize>>>;

/// A block's place in its group, kept as long as the block is in force.
pub(super) struct Member {
    groups: Groups,
    group: String,
    version: String,
    scope: Scope,
}

impl Groups {
    /// Enters a block. `None` when the group has a block of another resource that is not equal. What stood on the same resource
    /// is being replaced, so that a group that is used once may change.
    pub(super) fn enter(&self, group: &str, scope: &Scope, version: &str) -> Option<Arc<Member>> {
        let mut table = self.table();
        let versions = table.entry(group.to_owned()).or_default();
        let is_other = |(other, scopes): (&String, &HashMap<Scope, usize>)| {
            other != version && scopes.keys().any(|other| other != scope)
        };
        if versions.iter().any(is_other) {
            return None;
        }
        *versions.entry(version.to_owned()).or_default().entry(scope.clone()).or_default() += 1;
        let (group, version, scope) = (group.to_owned(), version.to_owned(), scope.clone());
        Some(Arc::new(Member { groups: self.clone(), group, version, scope }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut table = self.groups.table();
        let Some(versions) = table.get_mut(&self.group) else { return };
        let Some(scopes) = versions.get_mut(&self.version) else { return };
        if let Some(blocks) = scopes.get_mut(&self.scope) {
            *blocks -= 1;
            if *blocks == 0 {
                scopes.remove(&self.scope);
            }
        }
        if scopes.is_empty() {
            versions.remove(&self.version);
        }
        if versions.is_empty() {
            table.remove(&self.group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_equal_while_they_are_in_force() {
        let groups = Groups::default();
        let (one, two) = (Scope::Route("1".into()), Scope::Route("2".into()));
        let first = groups.enter("g", &one, "a").unwrap();
        let second = groups.enter("g", &two, "a").unwrap();
        assert!(groups.enter("g", &two, "b").is_none());
        assert!(groups.enter("h", &two, "b").is_some());
        drop(first);
        let changed = groups.enter("g", &two, "b").unwrap();
        drop(second);
        assert!(groups.enter("g", &one, "a").is_none());
        drop(changed);
        assert!(groups.enter("g", &one, "a").is_some());
        assert!(groups.table().is_empty(), "nothing is kept of blocks that are gone");
    }

    #[test]
    fn a_group_of_many_is_entered_as_fast_as_one_of_few() {
        let groups = Groups::default();
        let enter = |number: u32| groups.enter("g", &Scope::Consumer(number.to_string().into()), "a").unwrap();
        // Looking at every member each time would be 10^10 steps.
        let members: Vec<_> = (0..100_000).map(enter).collect();
        assert!(groups.enter("g", &Scope::Code, "b").is_none());
        drop(members);
        assert!(groups.table().is_empty());
    }
}
