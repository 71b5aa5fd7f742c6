//! [`check`]: snapshots that were built in code are judged by their wire form, with the tables that files are read by.
use std::collections::HashSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::references::{GlobalPlugins, dangling};
use super::shape::{Shape, Struct};
use super::walk::{Rules, Walk};
use crate::model::settings::SETTINGS;
use crate::model::snapshot::Visit;
use crate::model::{Finding, Id, Items, Kind, MatchPart, Resource, Snapshot};

/// A resource whose wire form is described by a table.
pub(crate) trait Described: Resource + DeserializeOwned + Serialize {
    const SHAPE: &'static Struct;

    /// Fields that an item of a document may be called by.
    const NAMED_BY: &'static [&'static str] = &["id", "username"];

    fn set_id(&mut self, id: Id);

    /// Of a route, and of a certificate that demands some of clients: which requests it is for.
    fn match_part(&self) -> Option<MatchPart> {
        None
    }
}

/// Judges a snapshot: the rules of every item, ids that stand twice, plugins in two global rules (errors), and
/// references that lead nowhere (warnings). Takes time in proportion to the snapshot; [`check_item`] judges one item.
///
/// What only the gateway knows (plugins, `vars`, patterns, balancers) is judged when it compiles the snapshot.
pub fn check(snapshot: &Snapshot) -> Vec<Finding> {
    struct Each(Vec<Finding>);
    impl Visit for Each {
        fn items<T: Described + Serialize>(&mut self, items: &Items<T>) {
            let mut seen = HashSet::new();
            for (index, item) in items.iter().enumerate() {
                judge_item(&**item, Some(index), &mut self.0);
                if !item.id().is_empty() && !seen.insert(item.id()) {
                    self.0.push(duplicate(T::KIND, item.id().clone(), index));
                }
            }
        }
    }
    let mut each = Each(Vec::new());
    snapshot.visit(&mut each);
    let mut findings = each.0;

    if let Ok(settings) = serde_json::to_value(&*snapshot.settings) {
        let mut walk = Walk::new(Kind::Settings, None, None, Rules::STRICT, &mut findings);
        walk.value(&settings, &SETTINGS);
    }
    let mut taken = GlobalPlugins::default();
    let mut rules: Vec<_> = snapshot.global_rules.iter().enumerate().collect();
    rules.sort_by_key(|(_, rule)| rule.id.clone());
    for (index, rule) in rules {
        findings.extend(taken.claim(rule).map(|finding| finding.with_index(index)));
    }
    findings.extend(dangling(snapshot));
    findings
}

/// Judges one item by its own rules, without a look at others.
#[expect(private_bounds, reason = "the resources of this crate are all there are")]
pub fn check_item<T: Described>(item: &T) -> Vec<Finding> {
    let mut findings = Vec::new();
    judge_item(item, None, &mut findings);
    findings
}

fn judge_item<T: Described>(item: &T, index: Option<usize>, findings: &mut Vec<Finding>) {
    let id = (!item.id().is_empty()).then(|| item.id().clone());
    if id.is_none() {
        let mut finding = Finding::error(T::KIND, None, "id", "is missing").with_mend("give the item an id");
        finding.index = index;
        findings.push(finding);
    }
    match serde_json::to_value(item) {
        Ok(value) => {
            let before = findings.len();
            judge::<T>(&value, id.as_ref(), index, Rules::STRICT, findings);
            if id.is_none() {
                // Said above, once for all kinds.
                let kept: Vec<_> = findings.drain(before..).filter(|finding| finding.path != "id").collect();
                findings.extend(kept);
            }
        }
        Err(error) => findings.push(Finding::error(T::KIND, id, "", format!("cannot be written as JSON: {error}"))),
    }
}

/// Judges the wire form of a resource. Gives back whether it is faultless and, if fields have to be left out of the
/// typed form, the value without them.
pub(crate) fn judge<T: Described>(
    value: &Value,
    id: Option<&Id>,
    index: Option<usize>,
    rules: Rules,
    findings: &mut Vec<Finding>,
) -> (bool, Option<Value>) {
    let mut walk = Walk::new(T::KIND, id.cloned(), index, rules, findings);
    match value {
        Value::Object(object) => walk.object(object, T::SHAPE),
        _ => walk.mismatch(value, const { &Shape::Struct(T::SHAPE) }),
    }
    (!walk.failed(), walk.cleaned(value))
}

pub(crate) fn duplicate(kind: Kind, id: Id, index: usize) -> Finding {
    Finding::error(kind, Some(id), "id", "is the id of an earlier item too")
        .with_index(index)
        .with_mend("give one of them another id")
}
