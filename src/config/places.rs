//! Lines for findings that come after the document was read: from the gateway, which knows plugins and patterns.
use std::sync::Arc;

use super::document::Source;
use crate::model::{Finding, Places, by_id};

/// Keeps the text of `source` for when it is asked where something stands.
pub(super) fn places(source: Source) -> Places {
    let source = Arc::new(source);
    Places::new(move |findings| locate(&source, findings))
}

fn locate(source: &Source, findings: &mut [Finding]) {
    // The text was taken once, so it is taken again.
    let Some((document, tree)) = source.with_lines() else { return };
    let index = by_id(&document);
    for finding in findings.iter_mut().filter(|finding| finding.line.is_none()) {
        // A place that the gateway names is one in the snapshot, which lacks the items that were refused.
        let found = finding.id.as_ref().and_then(|id| index.get(&(finding.kind.root_key(), id.clone())).copied());
        finding.line = tree.line_of(finding, found.or(finding.index));
    }
}
