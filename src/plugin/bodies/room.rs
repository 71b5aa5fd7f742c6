//! The bytes that plugins may hold of bodies, all together (security.md LIM-04).
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::body::Sender;

/// Senders are told apart as far as this many places go: two in one place count as one.
const PLACES: usize = 1024;

/// How much there may be and how much there is.
///
/// A sender holds no more than it leaves to all others: half of the room where there is nobody else, and less the fuller
/// the room is. So few clients that send slowly never fill it, and whoever sends short bodies has them taken. Without a
/// table of senders there is nothing that grows with their number, and no lock.
#[derive(Debug)]
pub(crate) struct Room {
    total: AtomicU64,
    taken: AtomicU64,
    /// What senders hold.
    places: Box<[AtomicU64]>,
    /// Nobody outside knows who shares a place with whom.
    keys: RandomState,
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Part {
    room: Arc<Room>,
    /// Of whom it is, where that is known.
    place: Option<usize>,
    bytes: u64,
}

/// There is no room left, or none for this sender.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Room {
    pub(crate) fn new(total: u64) -> Self {
        let places = std::iter::repeat_with(AtomicU64::default).take(PLACES).collect();
        Self { total: AtomicU64::new(total), taken: AtomicU64::new(0), places, keys: RandomState::new() }
    }

    /// From now on there may be so many bytes. What is held stays.
    pub(crate) fn resize(&self, total: u64) {
        self.total.store(total, Relaxed);
    }

    /// An empty part; of a body's sender, if it has one.
    pub(super) fn part(self: &Arc<Self>, sender: Option<Sender>) -> Part {
        let place = sender.map(|sender| self.keys.hash_one(sender) as usize % PLACES);
        Part { room: Arc::clone(self), place, bytes: 0 }
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}

impl Default for Room {
    /// Without room for anything.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Part {
    /// Takes more of the room.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let (more, total) = (bytes as u64, self.room.total.load(Relaxed));
        // only the sums count, so no order with other memory is needed
        let fits = |taken: u64| taken.checked_add(more).filter(|sum| *sum <= total);
        let before = self.room.taken.fetch_update(Relaxed, Relaxed, fits).map_err(|_| Full)?;
        if let Some(held) = self.held() {
            let left = total.saturating_sub(before.saturating_add(more));
            let own = held.fetch_add(more, Relaxed).saturating_add(more);
            if own > left {
                held.fetch_sub(more, Relaxed);
                self.room.taken.fetch_sub(more, Relaxed);
                return Err(Full);
            }
        }
        self.bytes += more;
        Ok(())
    }

    fn held(&self) -> Option<&AtomicU64> {
        self.place.and_then(|place| self.room.places.get(place))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(held) = self.held() {
            held.fetch_sub(self.bytes, Relaxed);
        }
        self.room.taken.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    fn sender(text: &str) -> Option<Sender> {
        Some(Sender::of(text.parse::<IpAddr>().unwrap()))
    }

    /// A part of a sender who shares no place with that one.
    fn apart(room: &Arc<Room>, from: &Part) -> Part {
        let mut parts = (0..=255).map(|last| room.part(sender(&format!("198.51.100.{last}"))));
        parts.find(|part| part.place != from.place).unwrap()
    }

    #[test]
    fn sec_lim_04_no_sender_holds_more_than_it_leaves_to_others() {
        let room = Arc::new(Room::new(100));
        let mut slow = room.part(sender("192.0.2.1"));
        slow.grow(30).unwrap();
        let mut slow_too = room.part(sender("192.0.2.1"));
        assert_eq!((slow_too.grow(21), slow_too.grow(20)), (Err(Full), Ok(())), "another body of the same sender");
        let mut other = apart(&room, &slow);
        assert_eq!((other.grow(26), other.grow(25)), (Err(Full), Ok(())));
        let mut nobodys = room.part(None);
        assert_eq!((nobodys.grow(26), nobodys.grow(25)), (Err(Full), Ok(())), "what plugins make");
        assert_eq!(room.taken(), 100);
        drop((slow, slow_too, other, nobodys));
        assert_eq!(room.taken(), 0);
        assert!(room.places.iter().all(|held| held.load(Relaxed) == 0));
    }

    #[test]
    fn a_network_of_ipv6_is_one_sender() {
        let room = Arc::new(Room::new(100));
        let mut first = room.part(sender("2001:db8::1"));
        first.grow(50).unwrap();
        assert_eq!(room.part(sender("2001:db8::ffff:1")).grow(10), Err(Full));
        assert_ne!(sender("2001:db8::1"), sender("2001:db8:0:1::1"));
        assert_eq!(sender("::ffff:192.0.2.1"), sender("192.0.2.1"));
        assert_eq!(apart(&room, &first).grow(10), Ok(()));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_counted_and_room_is_left(grown in proptest::collection::vec((0_u8..6, 0_usize..400), 1..60)) {
            let room = Arc::new(Room::new(1000));
            let mut parts = Vec::new();
            for (last, bytes) in grown {
                let mut part = room.part(sender(&format!("198.51.100.{last}")));
                if part.grow(bytes).is_ok() {
                    parts.push(part);
                }
                prop_assert_eq!(room.taken(), parts.iter().map(|part| part.bytes).sum::<u64>());
                // each of six senders leaves at least half of what it finds
                prop_assert!(1000 - room.taken() >= 1000 >> 6, "{}", room.taken());
            }
            parts.clear();
            prop_assert!(room.taken() == 0 && room.places.iter().all(|held| held.load(Relaxed) == 0));
        }
    }
}
