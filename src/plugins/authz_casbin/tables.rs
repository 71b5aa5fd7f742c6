//! What functions of matchers look up. Casbin takes plain functions, which can hold nothing: so a thread points at the tables of
//! the policy that it asks, for as long as it does.
use std::cell::RefCell;
use std::sync::Arc;

use super::pattern::{Kind, Pattern, Patterns, remembered};
use super::roles::Roles;

/// What a policy has beside its lines.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) patterns: Patterns,
    /// One for each role definition, in the order of the model.
    pub(super) roles: Vec<Roles>,
}

thread_local! {
    static ASKED: RefCell<Option<Arc<Tables>>> = const { RefCell::new(None) };
}

/// Ends the look-ups also where a function panics.
struct Asked;

impl Drop for Asked {
    fn drop(&mut self) {
        ASKED.take();
    }
}

impl Tables {
    /// Does something, during which functions look up here.
    pub(super) fn asked<T>(self: &Arc<Self>, ask: impl FnOnce() -> T) -> T {
        ASKED.set(Some(Arc::clone(self)));
        let _asked = Asked;
        ask()
    }
}

/// Looks a pattern up: `None` for what is none. One that a matcher has itself or puts together stands in no line.
pub(super) fn with_pattern<T>(kind: Kind, text: &str, look: impl FnOnce(Option<&Pattern>) -> T) -> T {
    ASKED.with_borrow(|tables| match tables.as_deref().and_then(|tables| tables.patterns.get(kind, text)) {
        Some(pattern) => look(Some(pattern)),
        None => look(remembered(kind, text).as_deref()),
    })
}

/// Whether a name has a role by a definition; `None` where there is no such definition.
pub(super) fn has_role(definition: usize, name: &str, role: &str, domain: &str) -> Option<bool> {
    ASKED.with_borrow(|tables| Some(tables.as_deref()?.roles.get(definition)?.has(name, role, domain)))
}
