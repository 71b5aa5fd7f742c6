//! One fetch for each missing key (RFC 9111 §4, "collapsed requests").
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::CacheKey;

/// The fetches that others wait for.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<CacheKey, watch::Receiver<Landing>>>>);

/// How a fetch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landing {
    Underway,
    /// What came is kept: look again.
    Kept,
    /// What came is nobody else's: go yourself.
    NotKept,
    /// Its client went away: look again, one of you goes.
    Abandoned,
}

/// What a request for a missing key does.
#[derive(Debug)]
pub(crate) enum Joined {
    /// It fetches, and the others wait for it.
    Leads(Flight),
    /// It waits.
    Follows(watch::Receiver<Landing>),
}

/// A fetch that others may wait for. Dropped without a word it is abandoned.
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Flights,
    key: CacheKey,
    told: watch::Sender<Landing>,
}

impl Flights {
    pub(super) fn join(&self, key: CacheKey) -> Joined {
        match self.table().entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => Joined::Follows(entry.get().clone()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let (told, hears) = watch::channel(Landing::Underway);
                entry.insert(hears);
                Joined::Leads(Flight { flights: self.clone(), key, told })
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<CacheKey, watch::Receiver<Landing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Tells those who wait.
    pub(crate) fn land(self, landing: Landing) {
        self.told.send_replace(landing);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.table().remove(&self.key);
        self.told.send_if_modified(|landing| {
            let quiet = *landing == Landing::Underway;
            if quiet {
                *landing = Landing::Abandoned;
            }
            quiet
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyBuilder;
    use super::*;

    fn follower(flights: &Flights, key: CacheKey) -> watch::Receiver<Landing> {
        match flights.join(key) {
            Joined::Follows(hears) => hears,
            Joined::Leads(_) => panic!("leads"),
        }
    }

    #[test]
    fn one_leads_and_the_others_hear_how_it_ends() {
        let (flights, key) = (Flights::default(), KeyBuilder::default().finish());
        for landing in [Landing::Kept, Landing::NotKept, Landing::Abandoned] {
            let Joined::Leads(flight) = flights.join(key) else { panic!("follows") };
            let hears = follower(&flights, key);
            assert_eq!(*hears.borrow(), Landing::Underway);
            match landing {
                Landing::Abandoned => drop(flight),
                landing => flight.land(landing),
            }
            assert_eq!(*hears.borrow(), landing);
            assert!(flights.table().is_empty());
        }
    }
}
