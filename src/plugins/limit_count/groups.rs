//! Blocks that share counters have to be equal.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::plugin::Scope;

/// The groups that blocks in force use.
#[derive(Default)]
pub(super) struct Groups(Mutex<HashMap<String, Vec<Weak<Member>>>>);

/// A block's place in its group, kept as long as the block is in force.
pub(super) struct Member {
    scope: Scope,
    version: String,
}

impl Groups {
    /// Enters a block. `None` when the group has a block of another resource that is not equal. What stood on the same resource
    /// is being replaced, so that a group that is used once may change.
    pub(super) fn enter(&self, group: &str, scope: &Scope, version: &str) -> Option<Arc<Member>> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, members| {
            members.retain(|member| member.strong_count() > 0);
            !members.is_empty()
        });
        let members = groups.entry(group.to_owned()).or_default();
        let mut others = members.iter().filter_map(Weak::upgrade).filter(|member| member.scope != *scope);
        if others.any(|member| member.version != version) {
            return None;
        }
        let member = Arc::new(Member { scope: scope.clone(), version: version.to_owned() });
        members.push(Arc::downgrade(&member));
        Some(member)
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
    }
}
