//! One fetch for each missing key (RFC 9111 §4, "collapsed requests").
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::CacheKey;

/// The fetches that others wait for.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights(Arc<[Mutex<Table>; STRIPES]>);

type Table = HashMap<CacheKey, Underway>;

/// One table for each 16th of the keys, so that those who miss seldom wait for each other.
const STRIPES: usize = 16;

#[derive(Debug)]
struct Underway {
    began: Instant,
    hears: watch::Receiver<Landing>,
    after: Predecessor,
}

/// What came of the fetch before, when another has taken its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Predecessor {
    /// There was none, or it ended.
    Gone,
    /// It took too long, and may be under way still.
    Late,
}

/// How a fetch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landing {
    Underway,
    /// What came is kept: look again.
    Kept,
    /// What came is nobody else's: go yourself.
    NotKept,
    /// The upstream is away, and what is kept stands in for it: look again.
    Failed,
    /// Its client went away: look again, one of you goes.
    Abandoned,
}

/// What a request for a missing key does.
#[derive(Debug)]
pub(crate) enum Joined {
    /// It fetches, and the others wait for it.
    Leads(Flight),
    /// It waits.
    Follows(watch::Receiver<Landing>, Predecessor),
}

/// A fetch that others may wait for. Dropped without a word it is abandoned.
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Flights,
    key: CacheKey,
    told: watch::Sender<Landing>,
}

impl Flights {
    /// Follows the fetch of that key, unless there is none or it has taken longer than `patience`: a leader that
    /// lasts as long as its client reads does not hold up everybody.
    pub(super) fn join(&self, key: CacheKey, patience: Duration) -> Joined {
        let mut table = self.table(&key);
        let mut after = Predecessor::Gone;
        if let Some(underway) = table.get(&key) {
            if underway.began.elapsed() < patience {
                return Joined::Follows(underway.hears.clone(), underway.after);
            }
            after = Predecessor::Late;
        }
        let (told, hears) = watch::channel(Landing::Underway);
        table.insert(key, Underway { began: Instant::now(), hears, after });
        Joined::Leads(Flight { flights: self.clone(), key, told })
    }

    fn table(&self, key: &CacheKey) -> MutexGuard<'_, Table> {
        let ([first, ..], [stripe, ..]) = (key.as_bytes(), &*self.0);
        let stripe = self.0.get(usize::from(*first) % STRIPES).unwrap_or(stripe);
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.0.iter().all(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
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
        let mut table = self.flights.table(&self.key);
        // Another may have taken its place.
        if table.get(&self.key).is_some_and(|underway| underway.hears.same_channel(&self.told.subscribe())) {
            table.remove(&self.key);
        }
        drop(table);
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

    const PATIENCE: Duration = Duration::from_secs(5);

    fn follower(flights: &Flights, key: CacheKey) -> watch::Receiver<Landing> {
        match flights.join(key, PATIENCE) {
            Joined::Follows(hears, _) => hears,
            Joined::Leads(_) => panic!("leads"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_leads_and_the_others_hear_how_it_ends() {
        let (flights, key) = (Flights::default(), KeyBuilder::default().finish());
        for landing in [Landing::Kept, Landing::NotKept, Landing::Failed, Landing::Abandoned] {
            let Joined::Leads(flight) = flights.join(key, PATIENCE) else { panic!("follows") };
            let hears = follower(&flights, key);
            assert_eq!(*hears.borrow(), Landing::Underway);
            match landing {
                Landing::Abandoned => drop(flight),
                landing => flight.land(landing),
            }
            assert_eq!(*hears.borrow(), landing);
            assert!(flights.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_too_long_is_followed_by_nobody_new() {
        let (flights, key) = (Flights::default(), KeyBuilder::default().finish());
        let Joined::Leads(slow) = flights.join(key, PATIENCE) else { panic!("follows") };
        let old = follower(&flights, key);
        tokio::time::advance(PATIENCE).await;
        let Joined::Leads(second) = flights.join(key, PATIENCE) else { panic!("follows the slow one") };
        let Joined::Follows(new, Predecessor::Late) = flights.join(key, PATIENCE) else { panic!("leads") };
        drop(slow);
        assert_eq!((*old.borrow(), *new.borrow()), (Landing::Abandoned, Landing::Underway));
        assert!(matches!(flights.join(key, PATIENCE), Joined::Follows(..)), "the second's place is its own");
        second.land(Landing::Kept);
        assert_eq!(*new.borrow(), Landing::Kept);
        assert!(flights.is_empty());
    }
}
