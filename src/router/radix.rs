//! A persistent radix tree over bytes: the one index behind paths, hosts, ids and values of variables.
//!
//! The children of a node are one allocation, shared by `Arc`: a walk goes from the node to the child without a pointer
//! between. A clone of a tree is one reference count; [`Radix::update`] copies the families on the way to the key that
//! others still hold and changes those it owns in place. So a change of a shared tree costs the depth of one key times
//! the children on the way, however many keys there are.
use std::marker::PhantomData;
use std::sync::Arc;

use smallvec::SmallVec;

/// What a tree keeps at a key. A vacant value is as good as an absent key and is pruned.
pub(super) trait Vacant: Default + Clone {
    /// Whether nothing is kept here.
    fn is_vacant(&self) -> bool;
}

/// The end of a text at which keys begin.
pub(super) trait Side {
    /// The first byte in walking order.
    fn first(text: &[u8]) -> Option<u8>;
    /// What remains of `text` behind `label`.
    fn strip<'t>(text: &'t [u8], label: &[u8]) -> Option<&'t [u8]>;
    /// How many bytes both begin with.
    fn common(left: &[u8], right: &[u8]) -> usize;
    /// The first `at` bytes in walking order, and the rest.
    fn split(text: &[u8], at: usize) -> (&[u8], &[u8]);
    /// Puts `near` before `far`.
    fn join(near: &[u8], far: &[u8]) -> Bytes;
}

/// Keys are read from their first byte on: a path.
#[derive(Debug)]
pub(super) enum Forward {}

/// Keys are read from their last byte back: a host, whose wildcards are suffixes.
#[derive(Debug)]
pub(super) enum Backward {}

/// Bytes within a node, if they are few: a lookup then reads one allocation for each node.
type Bytes = SmallVec<[u8; 24]>;

/// The tree.
#[derive(Debug)]
pub(super) struct Radix<V, S = Forward> {
    root: Option<Arc<Node<V>>>,
    side: PhantomData<fn() -> S>,
}

/// Fields stand in the order in which a walk needs them, so that a node between keys costs one or two cache lines.
#[derive(Clone, Debug, Default)]
#[repr(C)]
struct Node<V> {
    /// The first byte of each child's label, in step with `children`; behind them the label of this node.
    bytes: Bytes,
    children: Option<Arc<[Node<V>]>>,
    /// Whether `value` is not vacant: the nodes between keys need not be looked into.
    is_key: bool,
    value: V,
}

impl<V, S> Clone for Radix<V, S> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), side: PhantomData }
    }
}

impl<V, S> Default for Radix<V, S> {
    fn default() -> Self {
        Self { root: None, side: PhantomData }
    }
}

impl<V: Vacant, S> Vacant for Radix<V, S> {
    fn is_vacant(&self) -> bool {
        self.root.is_none()
    }
}

impl<V, S: Side> Radix<V, S> {
    /// Visits the value at every key that `text` begins with, shortest first, with what remains of `text` behind it.
    #[inline]
    pub(super) fn walk<'r, 't>(&'r self, text: &'t [u8], mut visit: impl FnMut(&'r V, &'t [u8])) {
        let mut next = self.root.as_deref();
        let mut rest = text;
        while let Some(node) = next {
            let children = node.children();
            let (firsts, label) = node.bytes.split_at_checked(children.len()).unwrap_or_default();
            let Some(after) = S::strip(rest, label) else { return };
            rest = after;
            if node.is_key {
                visit(&node.value, rest);
            }
            let Some(first) = S::first(rest) else { return };
            let child = firsts.iter().position(|byte| *byte == first);
            next = child.and_then(|at| children.get(at));
        }
    }

    /// The value at exactly `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        let mut found = None;
        self.walk(key, |value, rest| {
            if rest.is_empty() {
                found = Some(value);
            }
        });
        found
    }

    /// Visits every value, in no particular order.
    pub(super) fn each<'r>(&'r self, visit: &mut dyn FnMut(&'r V)) {
        if let Some(root) = &self.root {
            root.each(visit);
        }
    }
}

impl<V: Vacant, S: Side> Radix<V, S> {
    /// Changes the value at `key`, which begins vacant if it is new and is dropped if it ends vacant.
    pub(super) fn update(&mut self, key: &[u8], change: impl FnOnce(&mut V)) {
        let root = self.root.get_or_insert_with(|| Arc::new(Node::leaf(key)));
        Arc::make_mut(root).update::<S>(key, change);
        if root.is_vacant() {
            self.root = None;
        }
    }
}

impl<V> Node<V> {
    #[inline]
    fn children(&self) -> &[Self] {
        self.children.as_deref().unwrap_or_default()
    }

    /// The first bytes of the children, and the label.
    #[inline]
    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at_checked(self.children().len()).unwrap_or_default()
    }

    fn each<'r>(&'r self, visit: &mut dyn FnMut(&'r V)) {
        if self.is_key {
            visit(&self.value);
        }
        for child in self.children() {
            child.each(visit);
        }
    }
}

impl<V: Vacant> Node<V> {
    fn leaf(label: &[u8]) -> Self {
        Self { bytes: SmallVec::from_slice(label), ..Self::default() }
    }

    fn is_vacant(&self) -> bool {
        !self.is_key && self.children.is_none()
    }

    /// Takes the children out, copies if others hold them, with room for more.
    fn take_children(&mut self, room: usize) -> Vec<Self> {
        let Some(mut shared) = self.children.take() else { return Vec::with_capacity(room) };
        let shared = Arc::make_mut(&mut shared);
        let mut children = Vec::with_capacity(shared.len() + room);
        children.extend(shared.iter_mut().map(std::mem::take));
        children
    }

    /// Puts children in; no allocation stands for none.
    fn put_children(&mut self, children: Vec<Self>) {
        self.children = (!children.is_empty()).then(|| children.into());
    }

    fn update<S: Side>(&mut self, key: &[u8], change: impl FnOnce(&mut V)) {
        let (_, label) = self.parts();
        let (common, whole) = (S::common(label, key), label.len());
        if common < whole {
            self.split::<S>(common);
        }
        let (_, rest) = S::split(key, common);
        let Some(first) = S::first(rest) else {
            change(&mut self.value);
            self.is_key = !self.value.is_vacant();
            return self.absorb::<S>();
        };
        let (firsts, _) = self.parts();
        let at = firsts.iter().position(|byte| *byte == first).unwrap_or_else(|| {
            let mut children = self.take_children(1);
            let at = children.len();
            self.bytes.insert(at, first);
            children.push(Self::leaf(rest));
            self.put_children(children);
            at
        });
        if let Some(child) = self.children.as_mut().and_then(|children| Arc::make_mut(children).get_mut(at)) {
            child.update::<S>(rest, change);
            if child.is_vacant() {
                let mut children = self.take_children(0);
                children.remove(at);
                self.put_children(children);
                self.bytes.remove(at);
                self.absorb::<S>();
            }
        }
    }

    /// Cuts the label behind `at` bytes and puts a node between.
    fn split<S: Side>(&mut self, at: usize) {
        let (firsts, label) = self.parts();
        let (near, far) = S::split(label, at);
        let above = S::first(far).into_iter().chain(near.iter().copied()).collect();
        let below = firsts.iter().chain(far).copied().collect();
        let lower = Self {
            bytes: below,
            children: std::mem::take(&mut self.children),
            is_key: std::mem::take(&mut self.is_key),
            value: std::mem::take(&mut self.value),
        };
        self.bytes = above;
        self.put_children(vec![lower]);
    }

    /// Takes an only child into itself when nothing is kept between them.
    fn absorb<S: Side>(&mut self) {
        if self.is_key || self.children().len() != 1 {
            return;
        }
        let (_, near) = self.parts();
        let near = Bytes::from_slice(near);
        let Some(mut child) = self.take_children(0).pop() else { return };
        let (firsts, far) = child.parts();
        let bytes = firsts.iter().copied().chain(S::join(&near, far)).collect();
        child.bytes = bytes;
        *self = child;
    }
}

/// Whether two texts of one length are equal. Labels are short, and a call of `memcmp` costs more than they do.
#[inline]
fn is_same(left: &[u8], right: &[u8]) -> bool {
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        let (left, right) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
        left_end == right_end && left.iter().zip(right).all(|(left, right)| left == right)
    } else if let (Some(left_end), Some(right_end)) = (left.last_chunk::<4>(), right.last_chunk::<4>()) {
        left_end == right_end && left.first_chunk::<4>() == right.first_chunk::<4>()
    } else {
        left.iter().zip(right).all(|(left, right)| left == right)
    }
}

impl Side for Forward {
    #[inline]
    fn first(text: &[u8]) -> Option<u8> {
        text.first().copied()
    }

    #[inline]
    fn strip<'t>(text: &'t [u8], label: &[u8]) -> Option<&'t [u8]> {
        let (near, rest) = text.split_at_checked(label.len())?;
        is_same(near, label).then_some(rest)
    }

    fn common(left: &[u8], right: &[u8]) -> usize {
        left.iter().zip(right).take_while(|(left, right)| left == right).count()
    }

    fn split(text: &[u8], at: usize) -> (&[u8], &[u8]) {
        text.split_at_checked(at).unwrap_or((text, &[]))
    }

    fn join(near: &[u8], far: &[u8]) -> Bytes {
        near.iter().chain(far).copied().collect()
    }
}

impl Side for Backward {
    #[inline]
    fn first(text: &[u8]) -> Option<u8> {
        text.last().copied()
    }

    #[inline]
    fn strip<'t>(text: &'t [u8], label: &[u8]) -> Option<&'t [u8]> {
        let (rest, near) = text.split_at_checked(text.len().checked_sub(label.len())?)?;
        is_same(near, label).then_some(rest)
    }

    fn common(left: &[u8], right: &[u8]) -> usize {
        left.iter().rev().zip(right.iter().rev()).take_while(|(left, right)| left == right).count()
    }

    fn split(text: &[u8], at: usize) -> (&[u8], &[u8]) {
        let (far, near) = text.split_at_checked(text.len().saturating_sub(at)).unwrap_or((&[], text));
        (near, far)
    }

    fn join(near: &[u8], far: &[u8]) -> Bytes {
        far.iter().chain(near).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Vacant for u32 {
        fn is_vacant(&self) -> bool {
            *self == 0
        }
    }

    fn count(node: &Node<u32>) -> usize {
        1 + node.children().iter().map(count).sum::<usize>()
    }

    fn agree<S: Side>(changes: &[(Vec<u8>, u32)], texts: &[Vec<u8>], begins: fn(&[u8], &[u8]) -> bool) {
        let (mut tree, mut map) = (Radix::<u32, S>::default(), BTreeMap::new());
        let mut old = tree.clone();
        for (at, (key, value)) in changes.iter().enumerate() {
            if at == changes.len() / 2 {
                old = tree.clone();
            }
            tree.update(key, |kept| *kept = *value);
            map.insert(key.clone(), *value);
            map.retain(|_, value| *value != 0);
        }
        for text in texts {
            let mut found = Vec::new();
            tree.walk(text, |value, rest| {
                if *value != 0 {
                    found.push((text.len() - rest.len(), *value));
                }
            });
            let mut expected: Vec<_> =
                map.iter().filter(|(key, _)| begins(text, key)).map(|(key, value)| (key.len(), *value)).collect();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
        let mut kept = 0;
        tree.each(&mut |value| kept += usize::from(*value != 0));
        assert_eq!(kept, map.len());
        let nodes = tree.root.as_deref().map_or(0, count);
        assert!(nodes <= 2 * map.len(), "what is vacant is pruned");
        let mut again = Radix::<u32, S>::default();
        for (key, value) in changes.iter().take(changes.len() / 2) {
            again.update(key, |kept| *kept = *value);
        }
        for text in texts {
            assert_eq!(
                old.get(text).filter(|v| **v != 0),
                again.get(text).filter(|v| **v != 0),
                "a clone stays as it was"
            );
        }
    }

    proptest! {
        #[test]
        fn walks_like_a_map_of_prefixes(
            changes in proptest::collection::vec(("[ab]{0,5}".prop_map(String::into_bytes), 0..4_u32), 0..40),
            texts in proptest::collection::vec("[ab]{0,7}".prop_map(String::into_bytes), 1..8),
        ) {
            agree::<Forward>(&changes, &texts, <[u8]>::starts_with);
            agree::<Backward>(&changes, &texts, <[u8]>::ends_with);
        }
    }
}
