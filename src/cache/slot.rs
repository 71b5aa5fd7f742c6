//! What stands under one key.
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::index::Entry;
use super::variant::variant;

/// What a variant takes beside itself.
const VARIANT: u64 = 32;
/// What a slot of several variants takes of memory, and each of them.
const UPKEEP: (u64, u64) = (96, 48);
/// The most variants of one key; the oldest goes first.
const MOST: usize = 64;

/// What stands under one key: one answer, or several that are told apart by request fields.
#[derive(Clone, Debug)]
pub(super) enum Slot<E> {
    One(E),
    Many(Arc<Variants<E>>),
}

#[derive(Clone, Debug)]
pub(super) struct Variants<E> {
    names: Box<[HeaderName]>,
    /// Oldest first.
    kept: Vec<(u64, E)>,
}

impl<E: Entry> Slot<E> {
    /// The bytes that its answers take of the zone.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::One(entry) => entry.weight(),
            Self::Many(variants) => variants.kept.iter().map(Variants::weight).sum(),
        }
    }

    /// The bytes of memory that it takes beside its place and what its answers weigh.
    pub(super) fn upkeep(&self) -> u64 {
        match self {
            Self::One(_) => 0,
            Self::Many(variants) => UPKEEP.0 + UPKEEP.1 * variants.kept.len() as u64,
        }
    }

    /// What answers a request with these fields.
    pub(super) fn find(&self, request: &HeaderMap) -> Option<&E> {
        match self {
            Self::One(entry) => Some(entry),
            Self::Many(variants) => variants.get(variant(&variants.names, request)),
        }
    }

    /// Which of several a request asks for; 0 where they are not told apart.
    pub(super) fn variant(&self, request: &HeaderMap) -> u64 {
        match self {
            Self::Many(variants) => variant(&variants.names, request),
            Self::One(_) => 0,
        }
    }

    /// Everything that is kept.
    pub(super) fn entries(&self) -> impl Iterator<Item = &E> {
        let (one, many) = match self {
            Self::One(entry) => (Some(entry), None),
            Self::Many(variants) => (None, Some(&variants.kept)),
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(_, entry)| entry))
    }

    /// The slot with one more answer, and what goes for it: another of the same variant, all that are told apart by other
    /// fields (the origin has changed its mind), or the oldest of too many, or of more than `room` has room for.
    pub(super) fn with(
        before: Option<&Self>,
        names: &[HeaderName],
        variant: u64,
        entry: E,
        room: u64,
    ) -> (Self, Vec<E>) {
        if names.is_empty() {
            let gone = before.map(|slot| slot.entries().cloned().collect()).unwrap_or_default();
            return (Self::One(entry), gone);
        }
        let mut gone = Vec::new();
        let mut kept = match before {
            Some(Self::Many(variants)) if *variants.names == *names => variants.kept.clone(),
            Some(slot) => {
                gone.extend(slot.entries().cloned());
                Vec::new()
            }
            None => Vec::new(),
        };
        if let Some(at) = kept.iter().position(|(other, _)| *other == variant) {
            gone.push(kept.remove(at).1);
        } else if kept.len() >= MOST {
            gone.push(kept.remove(0).1);
        }
        kept.push((variant, entry));
        let mut weight: u64 = kept.iter().map(Variants::weight).sum();
        while weight > room && kept.len() > 1 {
            let oldest = kept.remove(0);
            weight -= Variants::weight(&oldest);
            gone.push(oldest.1);
        }
        (Self::Many(Arc::new(Variants { names: names.into(), kept })), gone)
    }

    /// What an answer of this variant would stand in the place of.
    pub(super) fn rivals(&self, names: &[HeaderName], variant: u64) -> Vec<E> {
        match self {
            Self::Many(variants) if *variants.names == *names => variants.get(variant).cloned().into_iter().collect(),
            slot => slot.entries().cloned().collect(),
        }
    }

    /// The slot without the answers that `is_gone` names; `None` if nothing is left.
    pub(super) fn without(&self, is_gone: impl Fn(&E) -> bool) -> Option<Self> {
        match self {
            Self::One(entry) => (!is_gone(entry)).then(|| self.clone()),
            Self::Many(variants) => {
                let kept: Vec<_> = variants.kept.iter().filter(|(_, entry)| !is_gone(entry)).cloned().collect();
                let names = variants.names.clone();
                (!kept.is_empty()).then(|| Self::Many(Arc::new(Variants { names, kept })))
            }
        }
    }
}

impl<E: Entry> Variants<E> {
    fn weight((_, entry): &(u64, E)) -> u64 {
        VARIANT + entry.weight()
    }

    fn get(&self, variant: u64) -> Option<&E> {
        // The newest are asked for most.
        self.kept.iter().rev().find(|(other, _)| *other == variant).map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{ACCEPT, ACCEPT_LANGUAGE};

    use super::*;

    impl Entry for u32 {
        fn weight(&self) -> u64 {
            100
        }
    }

    fn asking(language: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_str(language).unwrap())])
    }

    fn with(before: Option<&Slot<u32>>, language: &str, entry: u32) -> (Slot<u32>, Vec<u32>) {
        let names = [ACCEPT_LANGUAGE];
        Slot::with(before, &names, variant(&names, &asking(language)), entry, u64::MAX)
    }

    #[test]
    fn variants_stand_side_by_side() {
        let (slot, gone) = with(None, "de", 1);
        let (slot, also) = with(Some(&slot), "en", 2);
        assert!(gone.is_empty() && also.is_empty());
        assert_eq!((slot.find(&asking("de")), slot.find(&asking("en"))), (Some(&1), Some(&2)));
        assert_eq!(slot.find(&asking("fr")), None);
        let (slot, gone) = with(Some(&slot), "de", 3);
        assert_eq!((slot.find(&asking("de")), gone), (Some(&3), vec![1]));
        assert_eq!(slot.without(|entry| *entry == 3).unwrap().entries().collect::<Vec<_>>(), [&2]);
        assert!(slot.without(|_| true).is_none());
    }

    #[test]
    fn another_vary_and_none_make_the_others_go() {
        let (slot, _) = with(None, "de", 1);
        let (other, gone) = Slot::with(Some(&slot), &[ACCEPT], 7, 2, u64::MAX);
        assert_eq!((gone, other.entries().count()), (vec![1], 1));
        let (slot, gone) = Slot::with(Some(&slot), &[], 0, 3, u64::MAX);
        assert_eq!((gone, slot.find(&asking("fr"))), (vec![1], Some(&3)));
        let (_, gone) = with(Some(&slot), "de", 4);
        assert_eq!(gone, [3]);
    }

    #[test]
    fn the_oldest_of_too_many_goes() {
        let mut slot = None;
        for number in 0..65 {
            let (more, gone) = with(slot.as_ref(), &number.to_string(), number);
            assert_eq!(gone, if number == 64 { vec![0] } else { vec![] });
            slot = Some(more);
        }
        assert_eq!(slot.unwrap().entries().count(), MOST);
    }
}
