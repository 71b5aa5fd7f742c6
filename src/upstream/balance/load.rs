//! What an endpoint is busy with, as far as a balancer wants to know.
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;

use super::Latency;

/// The work of one endpoint of one upstream. It outlives changes of the configuration: an endpoint that goes and comes back
/// while requests are still at it has them counted (upstream.md §3.3).
///
/// Kept only while the upstream's balancer [counts load](super::Balancer::counts_load), the latency only while it
/// [heeds latency](super::Balancer::heeds_latency).
#[derive(Default)]
pub struct Load {
    in_flight: AtomicU32,
    latency: Latency,
    listeners: ArcSwap<Vec<Listening>>,
}

/// Told of changes of a [`Load`], by a balancer that keeps an order of them.
pub trait LoadListener: Send + Sync {
    /// The load of member `index` has changed.
    fn changed(&self, index: usize);
}

#[derive(Clone)]
struct Listening {
    listener: Weak<dyn LoadListener>,
    index: usize,
}

impl Load {
    /// Of an endpoint that does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests that were sent there and have not ended: a response counts until the end of its body, a tunnel until it
    /// is closed.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(SeqCst)
    }

    /// How long requests take there.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Tells `listener` of each change from now on, as the one of member `index`. There can be several: requests go by the
    /// balancers of the old configuration and of the new one for a while, and a new one may never come to be used.
    pub fn listen(&self, listener: Weak<dyn LoadListener>, index: usize) {
        let new = Listening { listener, index };
        self.listeners.rcu(|before| {
            let alive = before.iter().filter(|one| one.listener.strong_count() > 0).cloned();
            alive.chain([new.clone()]).collect::<Vec<_>>()
        });
    }

    /// A request more, until the guard is dropped.
    #[must_use = "the request ends with the guard"]
    pub fn enter(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, SeqCst);
        self.tell();
        Busy(Arc::clone(self))
    }

    fn tell(&self) {
        for one in &**self.listeners.load() {
            if let Some(listener) = one.listener.upgrade() {
                listener.changed(one.index);
            }
        }
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("in_flight", &self.in_flight)
            .field("latency", &self.latency)
            .finish_non_exhaustive()
    }
}

/// One request at an endpoint; it ends with this.
#[derive(Debug)]
pub struct Busy(Arc<Load>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes down what it hears.
    struct Ear(Arc<Load>, Mutex<Vec<(usize, u32)>>);

    impl LoadListener for Ear {
        fn changed(&self, index: usize) {
            self.1.lock().unwrap().push((index, self.0.in_flight()));
        }
    }

    #[test]
    fn each_listener_hears_of_requests_that_were_there_before() {
        let load = Arc::new(Load::new());
        let before = load.enter();
        let ear = Arc::new(Ear(Arc::clone(&load), Mutex::default()));
        let listener: Weak<Ear> = Arc::downgrade(&ear);
        load.listen(listener, 7);
        let second = Arc::new(Ear(Arc::clone(&load), Mutex::default()));
        let listener: Weak<Ear> = Arc::downgrade(&second);
        load.listen(listener, 8);
        let more = load.enter();
        drop(before);
        drop(second);
        drop(more);
        assert_eq!(*ear.1.lock().unwrap(), [(7, 2), (7, 1), (7, 0)]);
    }

    #[test]
    fn listeners_that_are_gone_are_forgotten() {
        let load = Arc::new(Load::new());
        for index in 0..100 {
            let ear = Arc::new(Ear(Arc::clone(&load), Mutex::default()));
            let listener: Weak<Ear> = Arc::downgrade(&ear);
            load.listen(listener, index);
        }
        assert!(load.listeners.load().len() <= 1);
    }
}
