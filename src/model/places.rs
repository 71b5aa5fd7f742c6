//! [`Places`]: where the items of a snapshot stand in the document that it was read from.
use std::fmt;
use std::sync::Arc;

use super::Finding;

/// Finds the lines of items, for faults that are found after the document was read: a plugin that does not exist, a
/// pattern that cannot be compiled. Holds the document's text, but looks at it only when asked.
///
/// Says nothing of what a snapshot means: any two are equal.
#[derive(Clone, Default)]
pub struct Places(Option<Arc<Find>>);

type Find = dyn Fn(&mut [Finding]) + Send + Sync;

impl Places {
    /// `find` writes [`Finding::line`] into the findings that lack it, as far as it knows.
    pub fn new(find: impl Fn(&mut [Finding]) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(find)))
    }

    /// Writes the lines into `findings` that have none yet. Takes as long as reading the document did.
    pub fn locate(&self, findings: &mut [Finding]) {
        if let Some(find) = &self.0
            && findings.iter().any(|finding| finding.line.is_none())
        {
            find(findings);
        }
    }
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places")
    }
}
