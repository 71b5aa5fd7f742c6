//! How many connections there may be at once (LIM-11): each has a seat.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::group::Group;

/// The place of one connection among those that may be there at once; it is free again when this is dropped.
///
/// Whoever takes the last one has it: two that come at the same moment never both get in.
pub(super) struct Seat {
    group: Arc<Group>,
    /// The client that it counts for, where clients have a limit.
    client: Option<IpAddr>,
}

impl Seat {
    /// A seat on the listener (at most `most`), on the server, and for the client, where it is known and clients have a
    /// limit; none if one of them is full.
    pub(super) fn take(group: &Arc<Group>, most: Option<usize>, client: Option<IpAddr>) -> Option<Self> {
        let registry = group.registry();
        let client = client.filter(|_| registry.clients.is_limited()).map(|client| client.to_canonical());
        // The narrowest first: what is given back here could not have been had by anybody else either.
        if client.is_some_and(|client| !registry.clients.take(client)) {
            return None;
        }
        let seated = group.seats().take(most.unwrap_or(usize::MAX)) && {
            let seated = registry.seats.take(registry.options.limits.max_connections);
            if !seated {
                group.seats().give_back();
            }
            seated
        };
        if !seated {
            client.iter().for_each(|client| registry.clients.give_back(*client));
            return None;
        }
        Some(Self { group: Arc::clone(group), client })
    }

    /// A seat that nobody limits; it is counted all the same.
    pub(super) fn free(group: &Arc<Group>) -> Self {
        let registry = group.registry();
        group.seats().take(usize::MAX);
        registry.seats.take(usize::MAX);
        Self { group: Arc::clone(group), client: None }
    }

    /// Tells whom the connection is from, once that is known; whether that client may have one more.
    pub(super) fn is_for(&mut self, client: IpAddr) -> bool {
        let clients = &self.group.registry().clients;
        if !clients.is_limited() || self.client.is_some() {
            return true;
        }
        let client = client.to_canonical();
        let seated = clients.take(client);
        self.client = seated.then_some(client);
        seated
    }

    pub(super) fn group(&self) -> &Arc<Group> {
        &self.group
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let registry = self.group.registry();
        if let Some(client) = self.client {
            registry.clients.give_back(client);
        }
        self.group.seats().give_back();
        registry.seats.give_back();
        registry.has_departed();
    }
}

/// Seats that are taken.
#[derive(Default)]
pub(super) struct Seats(AtomicUsize);

impl Seats {
    pub(super) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Takes one more, if fewer than `most` are taken.
    fn take(&self, most: usize) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |taken| (taken < most).then(|| taken + 1)).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Seats that are taken, by client. Nothing is counted, and no lock taken, where clients have no limit.
pub(super) struct Clients {
    most: Option<usize>,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Clients {
    pub(super) fn new(most: Option<usize>) -> Self {
        Self { most, taken: Mutex::default() }
    }

    fn is_limited(&self) -> bool {
        self.most.is_some()
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // What it guards is valid at every step (PAN-02).
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, client: IpAddr) -> bool {
        let most = self.most.unwrap_or(usize::MAX);
        let mut all = self.taken();
        match all.get_mut(&client) {
            Some(taken) if *taken < most => *taken += 1,
            None if most > 0 => drop(all.insert(client, 1)),
            _ => return false,
        }
        true
    }

    fn give_back(&self, client: IpAddr) {
        let mut all = self.taken();
        match all.get_mut(&client) {
            Some(taken) if *taken > 1 => *taken -= 1,
            // Those that have none are not remembered.
            _ => drop(all.remove(&client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Barrier;

    use super::*;
    use crate::server::Limits;
    use crate::server::registry::{Options, Registry};

    fn group(max_connections: usize, max_connections_per_ip: Option<usize>) -> Arc<Group> {
        let limits = Limits { max_connections, max_connections_per_ip, ..Limits::default() };
        Registry::new(Options { limits: Arc::new(limits), problem_details: false }).group()
    }

    fn client(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[test]
    fn seats_end_with_the_connection_and_leave_nothing_behind() {
        let group = group(3, Some(2));
        let take = |last| Seat::take(&group, None, Some(client(last)));
        let (first, second) = (take(1).unwrap(), take(1).unwrap());
        assert!(take(1).is_none(), "the client has two");
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped();
        assert!(Seat::take(&group, None, Some(mapped.into())).is_none(), "it is the same one");
        let other = take(2).unwrap();
        assert!(take(3).is_none(), "the server is full");
        drop((first, second));
        // What was refused held nothing.
        assert_eq!((group.registry().seats.count(), group.seats().count()), (1, 1));
        let narrow = |most| Seat::take(&group, Some(most), Some(client(1)));
        assert!(narrow(1).is_none());
        assert!(narrow(2).is_some());
        drop(other);
        assert!(group.registry().clients.taken().is_empty());
        assert_eq!((group.registry().seats.count(), group.seats().count()), (0, 0));
    }

    #[test]
    fn whom_it_is_for_may_be_known_later() {
        let group = group(10, Some(1));
        let late = || Seat::take(&group, None, None).unwrap();
        let (mut one, mut two) = (late(), late());
        assert!(one.is_for(client(1)));
        assert!(!two.is_for(client(1)));
        drop(one);
        assert!(two.is_for(client(1)));
        drop(two);
        assert!(group.registry().clients.taken().is_empty());
        // Nobody's seat, and yet it is counted.
        let free = Seat::free(&group);
        assert_eq!(group.registry().seats.count(), 1);
        drop(free);
    }

    #[test]
    fn of_many_at_the_same_moment_exactly_so_many_get_in_as_may() {
        const THREADS: usize = 8;
        for (most, per_client, fit) in [(5, None, 5), (100, Some(3), 3)] {
            let group = group(most, per_client);
            let (begin, taken) = (Barrier::new(THREADS), Mutex::new(Vec::new()));
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        begin.wait();
                        for _ in 0..2_000 {
                            let Some(seat) = Seat::take(&group, None, Some(client(1))) else { continue };
                            let mut taken = taken.lock().unwrap();
                            taken.push(seat);
                            assert!(taken.len() <= fit, "{} of {fit}", taken.len());
                            // Half the time somebody leaves.
                            if taken.len() == fit {
                                taken.pop();
                            }
                        }
                    });
                }
            });
            taken.lock().unwrap().clear();
            let held: Vec<_> = std::iter::from_fn(|| Seat::take(&group, None, Some(client(1)))).collect();
            assert_eq!(held.len(), fit);
        }
    }
}
