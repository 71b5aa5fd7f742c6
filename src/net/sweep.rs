//! The coarse clock and the sweep over all deadlines of one owner.
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use super::io::Io;

/// How often the sweep looks: a deadline is met within one tick.
pub const TICK: Duration = Duration::from_millis(250);

/// Registration is spread over so many lists, so that accepting threads rarely meet.
const SHARDS: usize = 16;

/// What is done to a socket that is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Its reading half is shut: the reader wakes with an end of stream and can still answer.
    Read,
    /// Both halves are shut.
    Both,
}

/// A coarse clock: counts [`TICK`]s since its owner was made.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicU32>);

impl Clock {
    /// Ticks since the start.
    pub fn ticks(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Time since the start, in whole ticks.
    pub fn elapsed(&self) -> Duration {
        TICK * self.ticks()
    }

    /// The first tick at which `after` has surely passed.
    pub(super) fn due(&self, after: Duration) -> u32 {
        let ticks = after.as_millis().div_ceil(TICK.as_millis()) + 1;
        self.ticks().saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX))
    }
}

/// Something that throws away what has become late, such as a pool of idle connections. Called about once a second.
pub trait Reap: Send + Sync {
    /// Drops what is over.
    fn reap(&self);
}

/// Handle of one sweep. Its task starts with the first socket and ends when the last handle is gone.
#[derive(Clone)]
pub struct Sweep(Arc<Shared>);

struct Shared {
    clock: Clock,
    sockets: [Mutex<Vec<Weak<Io>>>; SHARDS],
    reapers: Mutex<Vec<Weak<dyn Reap>>>,
    next: AtomicUsize,
    running: AtomicBool,
}

impl Default for Sweep {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sweep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sweep({} ticks)", self.0.clock.ticks())
    }
}

impl Sweep {
    /// A sweep of its own. Needs no runtime yet.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            clock: Clock(Arc::new(AtomicU32::new(0))),
            sockets: std::array::from_fn(|_| Mutex::new(Vec::new())),
            reapers: Mutex::new(Vec::new()),
            next: AtomicUsize::new(0),
            running: AtomicBool::new(false),
        }))
    }

    /// The clock that the deadlines are read against. It stands still until the first socket is registered.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Has `reaper` called about once a second for as long as it lives.
    pub fn reap(&self, reaper: Weak<dyn Reap>) {
        lock(&self.0.reapers).push(reaper);
    }

    /// Watches a socket's deadline. Called inside a tokio runtime, with every new socket.
    pub(super) fn watch(&self, io: &Arc<Io>) {
        let shard = self.0.next.fetch_add(1, Relaxed) % SHARDS;
        if let Some(list) = self.0.sockets.get(shard) {
            lock(list).push(Arc::downgrade(io));
        }
        if !self.0.running.swap(true, Relaxed) {
            let task = Running(Arc::downgrade(&self.0));
            tokio::spawn(async move {
                let mut timer = tokio::time::interval(TICK);
                timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
                timer.tick().await;
                loop {
                    timer.tick().await;
                    match task.0.upgrade() {
                        Some(shared) => shared.sweep(),
                        None => return,
                    }
                }
            });
        }
    }
}

/// The task's hold on its owner. When the runtime ends the task, the next socket starts another.
struct Running(Weak<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.running.store(false, Relaxed);
        }
    }
}

impl Shared {
    fn sweep(&self) {
        let now = self.clock.0.fetch_add(1, Relaxed).wrapping_add(1);
        for list in &self.sockets {
            lock(list).retain(|socket| match socket.upgrade() {
                Some(io) => {
                    io.sweep(now);
                    true
                }
                None => false,
            });
        }
        if now.is_multiple_of(4) {
            let reapers: Vec<_> = {
                let mut list = lock(&self.reapers);
                list.retain(|reaper| reaper.strong_count() > 0);
                list.iter().filter_map(Weak::upgrade).collect()
            };
            for reaper in reapers {
                reaper.reap();
            }
        }
    }
}

/// A lock that does not care about a panic elsewhere: what it guards is valid at every step (security.md PAN-02).
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        let clock = Clock(Arc::new(AtomicU32::new(10)));
        assert_eq!(clock.due(Duration::from_millis(1)), 12);
        assert_eq!(clock.due(Duration::from_millis(250)), 12);
        assert_eq!(clock.due(Duration::from_millis(251)), 13);
        assert_eq!(clock.due(Duration::MAX), u32::MAX);
    }
}
