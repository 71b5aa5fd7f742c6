//! Conditions written in Rust (router.md §7).
use std::fmt;
use std::sync::Arc;

use super::vars::Variables;

/// A condition that the embedding program registered under a name. It runs on the path of every request that gets as
/// far, so it must not block.
#[derive(Clone)]
pub struct Predicate {
    name: Arc<str>,
    test: Arc<Test>,
}

type Test = dyn Fn(&dyn Variables) -> bool + Send + Sync;

impl Predicate {
    /// Names a condition.
    pub fn new(name: impl Into<Arc<str>>, test: impl Fn(&dyn Variables) -> bool + Send + Sync + 'static) -> Self {
        Self { name: name.into(), test: Arc::new(test) }
    }

    /// The name that it was registered under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a request fulfils it.
    pub fn holds(&self, vars: &dyn Variables) -> bool {
        (self.test)(vars)
    }

    /// Whether both are the same function.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.test, &other.test)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Predicate({})", self.name)
    }
}
