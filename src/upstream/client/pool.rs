//! Idle HTTP/1 connections to one remote.
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::super::config::Keepalive;
use super::open::{Label, OwnLabel, fits};
use crate::net::{Clock, Io, Late, Probe, TICK};

/// Lists that threads spread over, so that two rarely want the same one.
const SHARDS: usize = 8;
/// How long a remote that sent stray bytes gets no connection kept (security.md UP-05b).
const QUARANTINE: Duration = Duration::from_secs(60);

thread_local! {
    /// The list that this thread looks at first.
    static SEAT: usize = RandomState::new().hash_one(std::thread::current().id()) as usize % SHARDS;
}

/// A connection nobody uses.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) io: Arc<Io>,
    pub(super) label: OwnLabel,
    /// Requests it has carried.
    pub(super) served: u32,
}

/// The idle connections of one remote, last in, first out. Nobody ever waits for a lock here: a list that is taken is
/// passed over.
#[derive(Debug, Default)]
pub(super) struct Pool {
    shards: [Mutex<Vec<Idle>>; SHARDS],
    idle: AtomicUsize,
    /// Tick until which no connection is kept.
    quarantined_until: AtomicU32,
}

impl Pool {
    /// A connection that fits, and on which nothing has happened since it was put here.
    pub(super) fn take(&self, cx: &mut Context<'_>, clock: &Clock, label: Label<'_>) -> Option<Idle> {
        if self.idle.load(Relaxed) == 0 {
            return None;
        }
        for shard in self.shards() {
            while let Some(idle) = self.pop(shard, label) {
                if self.is_quiet(&idle, cx, clock) {
                    return Some(idle);
                }
            }
        }
        None
    }

    /// Keeps a connection whose last response is complete, within `limits`. Else it is closed.
    pub(super) fn put(&self, idle: Idle, limits: &Keepalive, clock: &Clock) {
        let full = self.idle.load(Relaxed) >= limits.size;
        if full || limits.idle_timeout.is_zero() || idle.served >= limits.requests || self.is_quarantined(clock) {
            return;
        }
        idle.io.arm(limits.idle_timeout, Late::Both);
        for shard in self.shards() {
            if let Some(mut list) = try_lock(shard) {
                list.push(idle);
                self.idle.fetch_add(1, Relaxed);
                return;
            }
        }
    }

    /// Stops keeping connections for a while.
    pub(super) fn quarantine(&self, clock: &Clock) {
        let ticks = (QUARANTINE.as_millis() / TICK.as_millis()) as u32;
        self.quarantined_until.store(clock.ticks().saturating_add(ticks), Relaxed);
    }

    pub(super) fn is_quarantined(&self, clock: &Clock) -> bool {
        self.quarantined_until.load(Relaxed) > clock.ticks()
    }

    /// Drops a connection; whether there was one.
    pub(super) fn close_one(&self) -> bool {
        // Waited for, as a list that is passed over here would be missed for good; that is rare, and short.
        let pop = |shard: &Mutex<Vec<Idle>>| shard.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let closed = self.shards().any(|shard| pop(shard).is_some());
        self.idle.fetch_sub(usize::from(closed), Relaxed);
        closed
    }

    /// Connections that wait.
    pub(super) fn len(&self) -> usize {
        self.idle.load(Relaxed)
    }

    /// Drops connections that have ended.
    pub(super) fn reap(&self, clock: &Clock) {
        // Whoever takes a connection later registers a waker of its own.
        let mut cx = Context::from_waker(Waker::noop());
        for shard in &self.shards {
            let Some(mut list) = try_lock(shard) else { continue };
            let before = list.len();
            list.retain(|idle| self.is_quiet(idle, &mut cx, clock));
            self.idle.fetch_sub(before - list.len(), Relaxed);
        }
    }

    /// Bytes on an idle connection answer nothing: not only is it of no use, its remote is not in step (UP-05).
    fn is_quiet(&self, idle: &Idle, cx: &mut Context<'_>, clock: &Clock) -> bool {
        match idle.io.poll_probe(cx) {
            Poll::Pending => !idle.io.is_late(),
            Poll::Ready(Probe::Closed) => false,
            Poll::Ready(Probe::Data) => {
                self.quarantine(clock);
                false
            }
        }
    }

    fn pop(&self, shard: &Mutex<Vec<Idle>>, label: Label<'_>) -> Option<Idle> {
        let mut list = try_lock(shard)?;
        let place = list.iter().rposition(|idle| fits(idle.label.as_deref(), label))?;
        let idle = list.remove(place);
        self.idle.fetch_sub(1, Relaxed);
        Some(idle)
    }

    /// All lists, this thread's own first.
    fn shards(&self) -> impl Iterator<Item = &Mutex<Vec<Idle>>> {
        let seat = SEAT.with(|seat| *seat);
        self.shards.iter().cycle().skip(seat).take(SHARDS)
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<std::sync::MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
