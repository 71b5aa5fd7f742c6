//! [`admit`]: makes a faultless snapshot of one with faults, before it is applied.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::{
    Blocked, Described, Finding, Fold, Id, Items, Kind, MatchPart, Rejected, Settings, Snapshot, faulty_zones,
    leave_out, stand_in,
};

/// What [`admit`] made of a candidate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Admitted {
    /// The snapshot to apply.
    pub snapshot: Snapshot,
    /// Faulty items whose predecessors serve on.
    pub kept: Vec<Faulty>,
    /// Faulty items that had no predecessor.
    pub left_out: Vec<Faulty>,
}

/// A faulty item.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Faulty {
    /// What it is.
    pub kind: Kind,
    /// Its id, if it has a readable one.
    pub id: Option<Id>,
    /// Everything that is wrong with it.
    pub findings: Vec<Finding>,
}

/// Replaces every faulty item by its predecessor, or leaves it out (config-sources.md §1, security.md CFG-02).
///
/// Faulty is what a reader rejected ([`Snapshot::rejected`]) and what `findings` has an error about, found by kind and
/// id; warnings change nothing. If `previous` has an item of the same kind and id, it takes the place of the faulty
/// one; else the item is left out. What must not be taken over by a broader item then becomes [`Snapshot::blocked`], and
/// fails closed: a route whose paths, hosts and methods are known, and a certificate that demands some of clients, by its
/// names. Faulty settings give way to the previous ones, else to the defaults; where all that is wrong with them is single
/// zones of `cache_zones`, those alone do. Lists without faults stay the very same
/// lists.
///
/// A predecessor may not fit what has changed around it: judge the result, and admit it once more without `previous`
/// if it has errors.
pub fn admit(candidate: Snapshot, findings: &[Finding], previous: Option<&Snapshot>) -> Admitted {
    let rejected = candidate.rejected.clone();
    let known: HashSet<_> = rejected.iter().map(|item| (item.kind, &item.id, item.index)).collect();
    let is_known = |finding: &Finding| match finding.kind {
        // Of settings that were rejected for single zones the others are in use.
        Kind::Settings => rejected.iter().flat_map(|item| &item.findings).any(|other| other.key() == finding.key()),
        _ => known.contains(&(finding.kind, &finding.id, finding.index)),
    };
    let errors = findings.iter().filter(|finding| finding.is_error() && !is_known(finding)).collect();
    let mut sieve = Sieve { rejected: &rejected, errors, kept: Vec::new(), left_out: Vec::new(), blocked: Vec::new() };
    let nothing = Snapshot::default();
    let settings = sieve.settings(&candidate, previous);
    let mut snapshot = candidate.fold(previous.unwrap_or(&nothing), &mut sieve);
    snapshot.settings = settings;
    // Each of them has its place in `kept` or `left_out` now.
    snapshot.rejected = Vec::new();
    snapshot.blocked.append(&mut sieve.blocked);
    Admitted { snapshot, kept: sieve.kept, left_out: sieve.left_out }
}

struct Sieve<'a> {
    rejected: &'a [Rejected],
    errors: Vec<&'a Finding>,
    kept: Vec<Faulty>,
    left_out: Vec<Faulty>,
    blocked: Vec<Blocked>,
}

impl Sieve<'_> {
    fn settings(&mut self, candidate: &Snapshot, previous: Option<&Snapshot>) -> Arc<Settings> {
        let rejected = self.rejected.iter().filter(|item| item.kind == Kind::Settings).flat_map(|item| &item.findings);
        let errors = self.errors.iter().copied().filter(|finding| finding.kind == Kind::Settings);
        let findings: Vec<Finding> = rejected.chain(errors.clone()).cloned().collect();
        if findings.is_empty() {
            return Arc::clone(&candidate.settings);
        }
        let of_zones = faulty_zones(&findings).is_some();
        let faulty = Faulty { kind: Kind::Settings, id: None, findings };
        if of_zones {
            let mut settings = Settings::clone(&candidate.settings);
            // Those that were rejected are gone already.
            leave_out(&mut settings.cache_zones, &faulty_zones(errors).unwrap_or_default());
            let stands_in =
                previous.is_some_and(|before| stand_in(&mut settings.cache_zones, &before.settings.cache_zones));
            let list = if stands_in { &mut self.kept } else { &mut self.left_out };
            list.push(faulty);
            return Arc::new(settings);
        }
        match previous {
            Some(previous) => {
                self.kept.push(faulty);
                Arc::clone(&previous.settings)
            }
            None => {
                self.left_out.push(faulty);
                Arc::default()
            }
        }
    }

    fn leave_out(&mut self, faulty: Faulty, (place, behind): (usize, usize), match_part: Option<MatchPart>) {
        if let Some(match_part) = match_part {
            let reason = faulty.findings.iter().filter(|finding| finding.is_error()).map(Finding::to_string);
            let reason = reason.collect::<Vec<_>>().join("; ");
            let (kind, id) = (faulty.kind, faulty.id.clone());
            self.blocked.push(Blocked { kind, id, index: Some(place), behind, match_part, reason });
        }
        self.left_out.push(faulty);
    }
}

/// An item's place: taken from the candidate, or to be filled by a predecessor.
enum Slot<'a, T> {
    Good(Arc<T>),
    Rejected(&'a Rejected),
    Bad { item: Arc<T>, findings: Vec<Finding> },
}

impl Fold for Sieve<'_> {
    fn items<T: Described>(&mut self, items: Items<T>, before: &Items<T>) -> Items<T> {
        let rejected: Vec<&Rejected> = self.rejected.iter().filter(|item| item.kind == T::KIND).collect();
        let errors: Vec<&Finding> = self.errors.iter().copied().filter(|finding| finding.kind == T::KIND).collect();
        if rejected.is_empty() && errors.is_empty() {
            return items;
        }
        let slots = slots(&items, rejected, &errors);
        let good: HashSet<&Id> = slots
            .iter()
            .filter_map(|slot| match slot {
                Slot::Good(item) => Some(item.id()),
                _ => None,
            })
            .collect();
        // Each predecessor stands in once, and only for an id that is not in use.
        let mut predecessors: HashMap<&Id, &Arc<T>> =
            before.iter().map(|item| (item.id(), item)).filter(|(id, _)| !good.contains(id)).collect();
        let mut admitted = Vec::with_capacity(slots.len());
        for (place, slot) in slots.iter().enumerate() {
            let (id, findings, match_part) = match slot {
                Slot::Good(item) => {
                    admitted.push(Arc::clone(item));
                    continue;
                }
                Slot::Rejected(item) => (item.id.clone(), item.findings.clone(), item.match_part.clone()),
                Slot::Bad { item, findings } => (Some(item.id().clone()), findings.clone(), item.match_part()),
            };
            let found = id.as_ref().and_then(|id| predecessors.remove(id)).cloned();
            let faulty = Faulty { kind: T::KIND, id, findings };
            match found {
                Some(item) => {
                    admitted.push(item);
                    self.kept.push(faulty);
                }
                None => self.leave_out(faulty, (place, admitted.len()), match_part),
            }
        }
        admitted.into()
    }
}

/// The places of a list in the order of its document, rejected items where they stood.
fn slots<'a, T: Described>(items: &Items<T>, rejected: Vec<&'a Rejected>, errors: &[&Finding]) -> Vec<Slot<'a, T>> {
    let mut rejected = rejected.into_iter().peekable();
    let mut by_id: HashMap<&str, Vec<&Finding>> = HashMap::new();
    for finding in errors {
        // An item without an id has its place only.
        by_id.entry(finding.id.as_ref().map_or("", Id::as_str)).or_default().push(finding);
    }
    let mut slots = Vec::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        // In a list without places, as stores have them, ids tell the order.
        let is_due = |earlier: &Rejected, place: usize| match (earlier.index, &earlier.id) {
            (Some(index), _) => index <= place,
            (None, Some(id)) => id.as_str() < item.id().as_str(),
            (None, None) => false,
        };
        while let Some(earlier) = rejected.next_if(|earlier| is_due(earlier, slots.len())) {
            slots.push(Slot::Rejected(earlier));
        }
        let findings = by_id.get(item.id().as_str()).into_iter().flatten();
        let findings: Vec<Finding> =
            findings.filter(|finding| is_about(finding, items, position)).map(|finding| (*finding).clone()).collect();
        slots.push(if findings.is_empty() {
            Slot::Good(Arc::clone(item))
        } else {
            Slot::Bad { item: Arc::clone(item), findings }
        });
    }
    slots.extend(rejected.map(Slot::Rejected));
    slots
}

/// Among items of the id that `finding` names: whether it is about the one at `position`. A place counts if it holds
/// such an item, as it may be a place in a document instead.
fn is_about<T: Described>(finding: &Finding, items: &Items<T>, position: usize) -> bool {
    let same =
        |index: usize| items.get(index).zip(items.get(position)).is_some_and(|(one, other)| one.id() == other.id());
    finding.index.is_none_or(|index| index == position || !same(index))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{ReadOptions, check, read};

    fn snapshot(document: Value) -> Snapshot {
        read(&document, &ReadOptions::default()).snapshot
    }

    fn routes(snapshot: &Snapshot) -> Vec<String> {
        snapshot
            .routes
            .iter()
            .map(|route| format!("{}={}", route.id, route.uri.as_deref().unwrap_or_default()))
            .collect()
    }

    fn names(faulty: &[Faulty]) -> Vec<String> {
        faulty.iter().map(|item| format!("{} {}", item.kind, item.id.as_ref().map_or("", Id::as_str))).collect()
    }

    fn previous() -> Snapshot {
        snapshot(json!({
            "routes": [
                {"id": "a", "uri": "/a1", "plugins": {}},
                {"id": "b", "uri": "/b1", "plugins": {}},
            ],
            "tollgate": {"workers": 7},
        }))
    }

    #[test]
    fn without_faults_nothing_changes() {
        let candidate = previous();
        let admitted = admit(candidate.clone(), &[], None);
        assert!(admitted.snapshot.routes.is_same(&candidate.routes));
        assert_eq!(admitted.snapshot, candidate);
        assert!(admitted.kept.is_empty() && admitted.left_out.is_empty());
    }

    #[test]
    fn a_rejected_item_keeps_its_predecessor_in_its_place() {
        let candidate = snapshot(json!({"routes": [
            {"id": "x", "uri": "/x", "plugins": {}},
            {"id": "a", "uri": "/a2"},
            {"id": "y", "uri": "/y", "plugins": {}},
        ]}));
        let admitted = admit(candidate, &[], Some(&previous()));
        assert_eq!(routes(&admitted.snapshot), ["x=/x", "a=/a1", "y=/y"]);
        assert_eq!(names(&admitted.kept), ["route a"]);
        assert_eq!(admitted.snapshot.blocked, []);
    }

    #[test]
    fn a_rejected_item_without_predecessor_is_left_out_and_blocks() {
        let candidate = snapshot(json!({"routes": [
            {"id": "new", "uri": "/n", "host": "N.test", "priority": 3, "methods": ["GET"]},
            {"id": "off", "uri": "/n", "status": 0},
            {"id": "torn", "uris": 5, "plugins": {}},
        ]}));
        for previous in [None, Some(previous())] {
            let admitted = admit(candidate.clone(), &[], previous.as_ref());
            assert_eq!(routes(&admitted.snapshot), [""; 0]);
            assert_eq!(names(&admitted.left_out), ["route new", "route off", "route torn"]);
            let [blocked] = &admitted.snapshot.blocked[..] else { panic!("{:?}", admitted.snapshot.blocked) };
            assert_eq!(blocked.id, Some("new".into()));
            assert_eq!(blocked.match_part.uris, [Arc::<str>::from("/n")]);
            assert_eq!(blocked.match_part.hosts, ["n.test".into()]);
            assert_eq!(blocked.match_part.priority, 3);
            assert!(blocked.reason.contains("leads nowhere"), "{}", blocked.reason);
        }
    }

    #[test]
    fn an_item_that_a_deeper_check_refuses_is_treated_alike() {
        let candidate = snapshot(json!({"routes": [
            {"id": "a", "uri": "/a2", "plugins": {}},
            {"id": "new", "uri": "/n", "plugins": {}},
            {"id": "fine", "uri": "/f", "plugins": {}},
        ]}));
        let findings = [
            Finding::error(Kind::Route, Some("a".into()), "plugins.cors", "is wrong"),
            Finding::error(Kind::Route, Some("new".into()), "vars", "is wrong").with_index(17),
            Finding::warning(Kind::Route, Some("fine".into()), "", "is odd"),
            Finding::error(Kind::Service, Some("fine".into()), "", "is another kind"),
        ];
        let admitted = admit(candidate, &findings, Some(&previous()));
        assert_eq!(routes(&admitted.snapshot), ["a=/a1", "fine=/f"]);
        assert_eq!(names(&admitted.kept), ["route a"]);
        assert_eq!(names(&admitted.left_out), ["route new"]);
        assert_eq!(admitted.snapshot.blocked.len(), 1);
    }

    #[test]
    fn of_two_items_with_one_id_the_first_stays_and_the_later_blocks() {
        let document = json!({"routes": [
            {"id": "a", "uri": "/first", "plugins": {}},
            {"id": "a", "uri": "/later", "plugins": {}},
        ]});
        let read = read(&document, &ReadOptions::default());
        // The reader's own findings may come along; they are about the rejected item.
        let admitted = admit(read.snapshot, &read.findings, Some(&previous()));
        assert_eq!(routes(&admitted.snapshot), ["a=/first"]);
        assert_eq!(admitted.snapshot.blocked[0].match_part.uris, [Arc::<str>::from("/later")]);

        let mut built = snapshot(json!({"routes": [{"id": "a", "uri": "/first", "plugins": {}}]}));
        built.routes.push(crate::model::RouteSpec {
            plugins: Some(Default::default()),
            ..crate::model::RouteSpec::new("a", "/later")
        });
        let findings = check(&built);
        let admitted = admit(built, &findings, None);
        assert_eq!(routes(&admitted.snapshot), ["a=/first"]);
        assert_eq!(admitted.snapshot.blocked[0].match_part.uris, [Arc::<str>::from("/later")]);
    }

    #[test]
    fn a_deleted_item_is_gone() {
        let candidate = snapshot(json!({"routes": [{"id": "b", "uri": "/b2", "plugins": {}}]}));
        let admitted = admit(candidate, &[], Some(&previous()));
        assert_eq!(routes(&admitted.snapshot), ["b=/b2"]);
    }

    #[test]
    fn faulty_settings_give_way_to_the_previous_ones() {
        let candidate = snapshot(json!({"tollgate": {"workers": 0}}));
        assert_eq!(admit(candidate.clone(), &[], Some(&previous())).snapshot.settings.workers, Some(7));
        let first = admit(candidate, &[], None);
        assert_eq!(*first.snapshot.settings, Settings::default());
        assert_eq!(names(&first.left_out), ["settings "]);

        let refused = [Finding::error(Kind::Settings, None, "listeners[0].address", "is in use")];
        let candidate = snapshot(json!({"tollgate": {"workers": 2}}));
        assert_eq!(admit(candidate, &refused, Some(&previous())).snapshot.settings.workers, Some(7));
    }

    #[test]
    fn a_faulty_zone_leaves_the_others_and_the_rest_of_the_settings() {
        let zones = |settings: &Settings| {
            let told = |zone: &crate::model::CacheZoneSpec| format!("{} {}", zone.name, zone.memory_size);
            settings.cache_zones.iter().map(told).collect::<Vec<_>>()
        };
        let before = snapshot(json!({"tollgate": {"workers": 7, "cache_zones": [
            {"name": "a", "memory_size": "1m"}, {"name": "b", "memory_size": "1m"}, {"name": "c", "memory_size": "1m"},
        ]}}));
        let candidate = || {
            snapshot(json!({"tollgate": {"workers": 2, "cache_zones": [
                {"name": "a", "memory_size": "2m"}, {"name": "b", "memory_size": "2k"}, {"name": "c", "memory_size": "2m"},
            ]}}))
        };
        let admitted = admit(candidate(), &[], Some(&before));
        assert_eq!(zones(&admitted.snapshot.settings), ["a 2m", "c 2m", "b 1m"]);
        assert_eq!(
            (admitted.snapshot.settings.workers, names(&admitted.kept)),
            (Some(2), vec!["settings ".to_owned()])
        );
        assert!(admitted.kept[0].findings[0].path.starts_with("cache_zones[1].memory_size"));
        assert!(check(&admitted.snapshot).is_empty());

        let first = admit(candidate(), &[], None);
        assert_eq!(
            (zones(&first.snapshot.settings), first.snapshot.settings.workers),
            (vec!["a 2m".into(), "c 2m".into()], Some(2))
        );
        assert_eq!(names(&first.left_out), ["settings "]);

        // another fault is one of all settings
        let more = [Finding::error(Kind::Settings, None, "listeners[0].address", "is in use")];
        assert_eq!(*admit(candidate(), &more, Some(&before)).snapshot.settings, *before.settings);

        let mut built = snapshot(json!({"tollgate": {"workers": 3}}));
        let spec = |name: &str, size| crate::model::CacheZoneSpec::memory(name, crate::model::ByteSize(size));
        Arc::make_mut(&mut built.settings).cache_zones = vec![spec("b", 1), spec("d", 2 << 20)];
        let findings = check(&built);
        let admitted = admit(built, &findings, Some(&before));
        assert_eq!(zones(&admitted.snapshot.settings), ["d 2m", "a 1m", "b 1m", "c 1m"]);
    }

    #[test]
    fn credentials_and_consumers_are_admitted_apart() {
        let before = snapshot(json!({"consumers": [
            {"username": "jack"}, {"id": "jack/credentials/one", "plugins": {"key-auth": {"key": "old"}}},
        ]}));
        let candidate = snapshot(json!({"consumers": [
            {"username": "jack", "desc": "new"},
            {"id": "jack/credentials/one", "plugins": {"a": {}, "b": {}}},
            {"username": "j.ill"},
        ]}));
        let admitted = admit(candidate, &[], Some(&before));
        assert_eq!(admitted.snapshot.consumers.len(), 1);
        assert_eq!(admitted.snapshot.consumers[0].desc.as_deref(), Some("new"));
        assert_eq!(admitted.snapshot.credentials, before.credentials);
        assert_eq!(names(&admitted.kept), ["credential jack/credentials/one"]);
        assert_eq!(names(&admitted.left_out), ["consumer j.ill"]);
    }

    #[test]
    fn what_was_admitted_has_no_fault() {
        let candidate = snapshot(json!({
            "routes": [{"id": "a", "uri": 5}, {"id": "c"}, {"id": "d", "uri": "/d", "plugins": {}}],
            "upstreams": [{"id": "u"}],
            "plugins": [{"name": "cors", "x": 1}],
        }));
        let admitted = admit(candidate, &[], Some(&previous()));
        let errors: Vec<_> = check(&admitted.snapshot).into_iter().filter(Finding::is_error).collect();
        assert_eq!(errors, []);
        assert!(admitted.snapshot.rejected.is_empty());
        let again = admit(admitted.snapshot.clone(), &[], None);
        assert_eq!(routes(&again.snapshot), routes(&admitted.snapshot));
    }
}
