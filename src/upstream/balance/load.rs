//! What an endpoint is busy with, as far as a balancer wants to know.
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

/// The work of one endpoint of one upstream. It outlives changes of the configuration: an endpoint that goes and comes back
/// while requests are still at it has them counted (upstream.md §3.3).
///
/// Kept only while the upstream's balancer [counts load](super::Balancer::counts_load).
#[derive(Default)]
pub struct Load {
    in_flight: AtomicU32,
    listener: ArcSwapOption<Listening>,
}

/// Told of changes of a [`Load`], by a balancer that keeps an order of them.
pub trait LoadListener: Send + Sync {
    /// The load of member `index` has changed.
    fn changed(&self, index: usize);
}

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
        self.in_flight.load(Relaxed)
    }

    /// Tells `listener` of each change from now on, as the one of member `index`; whoever listened before hears no more.
    pub fn listen(&self, listener: Weak<dyn LoadListener>, index: usize) {
        self.listener.store(Some(Arc::new(Listening { listener, index })));
    }

    /// A request more, until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Relaxed);
        self.tell();
        Busy(Arc::clone(self))
    }

    fn tell(&self) {
        if let Some(listening) = &*self.listener.load()
            && let Some(listener) = listening.listener.upgrade()
        {
            listener.changed(listening.index);
        }
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

/// One request at an endpoint.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Load>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
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
    fn the_newest_listener_hears_of_requests_that_were_there_before() {
        let load = Arc::new(Load::new());
        let before = load.enter();
        let ear = Arc::new(Ear(Arc::clone(&load), Mutex::default()));
        let listener: Weak<Ear> = Arc::downgrade(&ear);
        load.listen(listener, 7);
        let more = load.enter();
        drop(before);
        drop(more);
        assert_eq!(*ear.1.lock().unwrap(), [(7, 2), (7, 1), (7, 0)]);
    }
}
