//! Lines for findings that come after the document was read: from the gateway, which knows plugins and patterns.
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::document::Source;
use crate::model::{Finding, Id, Places, id_of};

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

/// Under which key and id each item stands.
fn by_id(document: &Value) -> HashMap<(&str, Id), usize> {
    let mut index = HashMap::new();
    for (key, list) in document.as_object().into_iter().flatten() {
        for (place, item) in list.as_array().into_iter().flatten().enumerate() {
            // Of two items with one id the first is used.
            index.entry((key.as_str(), id_of(&["id", "username"], item, place))).or_insert(place);
        }
    }
    index
}
