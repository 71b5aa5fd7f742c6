//! Deadlines of streams: numbers that the connection looks at a few times a second, instead of timers.
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::net::TICK;

/// Milliseconds of a tick.
const MILLIS: u32 = TICK.as_millis() as u32;
/// No deadline.
const NEVER: u32 = u32::MAX;

/// Wakes one task after a deadline.
#[derive(Debug)]
pub(super) struct Alarm {
    /// The tick.
    due: AtomicU32,
    sleeper: Mutex<Option<Waker>>,
}

impl Alarm {
    /// Has the task woken once the tick is there. Replaces what was set.
    pub(super) fn set(&self, due: u32, cx: &Context<'_>) {
        let mut sleeper = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *sleeper {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        self.due.store(due, Relaxed);
    }

    /// Wakes nobody any more.
    pub(super) fn clear(&self) {
        self.due.store(NEVER, Relaxed);
    }

    /// Wakes the task now, whatever the time.
    pub(super) fn ring(&self) {
        let waker = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// An alarm while somebody has it.
#[derive(Debug)]
pub(super) struct Lent(Arc<Alarm>);

impl Lent {
    /// For others that ring it, or set it while the borrower has it.
    pub(super) fn share(&self) -> Arc<Alarm> {
        Arc::clone(&self.0)
    }
}

impl std::ops::Deref for Lent {
    type Target = Alarm;

    fn deref(&self) -> &Alarm {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.clear();
        // A waker holds the memory of its task.
        self.0.sleeper.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The tick at which `after` has passed for sure since that tick.
pub(super) fn due(since: u32, after: Duration) -> u32 {
    // Not by the whole time in milliseconds, whose 128 bits are slow to divide.
    let whole = after.as_secs().saturating_mul(1000 / u64::from(MILLIS));
    let ticks = whole.saturating_add(after.subsec_millis().div_ceil(MILLIS).into()).saturating_add(1);
    since.saturating_add(u32::try_from(ticks).unwrap_or(NEVER))
}

/// The alarms of one connection. One that its stream has dropped is lent to the next.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    all: Vec<Arc<Alarm>>,
    /// Where the last one was found.
    cursor: usize,
    /// With so many, all are looked at before there is one more.
    many: usize,
}

impl Alarms {
    /// An alarm that nobody else has.
    pub(super) fn lend(&mut self) -> Lent {
        // A few are looked at: streams end about in the order in which they began.
        for _ in 0..self.all.len().min(4) {
            self.cursor = if self.cursor + 1 < self.all.len() { self.cursor + 1 } else { 0 };
            if let Some(alarm) = self.all.get(self.cursor).filter(|alarm| is_free(alarm)) {
                return Lent(Arc::clone(alarm));
            }
        }
        if self.all.len() >= self.many {
            // Streams that last stood in the way of those that are over.
            self.all.retain(|alarm| !is_free(alarm));
            self.many = 2 * self.all.len() + 8;
        }
        let alarm = Arc::new(Alarm { due: AtomicU32::new(NEVER), sleeper: Mutex::new(None) });
        self.all.push(Arc::clone(&alarm));
        Lent(alarm)
    }

    /// Wakes whom the tick is there for.
    pub(super) fn look(&self, now: u32) {
        for alarm in &self.all {
            if alarm.due.load(Relaxed) <= now && !is_free(alarm) {
                alarm.clear();
                alarm.ring();
            }
        }
    }

    /// Gives the memory of those back that nobody has.
    pub(super) fn shrink(&mut self) {
        self.all.retain(|alarm| !is_free(alarm));
        self.all.shrink_to_fit();
    }
}

fn is_free(alarm: &Arc<Alarm>) -> bool {
    Arc::strong_count(alarm) == 1
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn who_is_late_is_woken_once() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        let mut alarms = Alarms::default();
        let (one, other) = (alarms.lend(), alarms.lend());
        one.set(5, &cx);
        other.set(7, &cx);
        let woken = |alarms: &Alarms, now| {
            alarms.look(now);
            count.0.load(Relaxed)
        };
        assert_eq!([4, 5, 6].map(|now| woken(&alarms, now)), [0, 1, 1]);
        other.clear();
        assert_eq!(woken(&alarms, 9), 1);
    }

    #[test]
    fn those_that_were_dropped_are_lent_again() {
        let mut alarms = Alarms::default();
        let held = alarms.lend();
        for _ in 0..100 {
            let _lent = alarms.lend();
        }
        assert_eq!(alarms.all.len(), 2);
        alarms.shrink();
        assert_eq!(alarms.all.len(), 1);
        drop(held);
        alarms.shrink();
        assert!(alarms.all.is_empty());
    }

    #[test]
    fn streams_that_last_do_not_make_more_and_more_of_them() {
        let mut alarms = Alarms::default();
        let mut held: Vec<_> = (0..100).map(|_| alarms.lend()).collect();
        for at in 0..10_000 {
            let other = alarms.lend();
            // Short ones end, and now and then a long one begins as another one ends.
            if at % 7 == 0 {
                held[at % 100] = other;
            }
            assert!(alarms.all.len() <= 2 * 101 + 8, "{} at {at}", alarms.all.len());
        }
    }

    #[test]
    fn one_that_is_given_back_holds_no_task() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut alarms = Alarms::default();
        let lent = alarms.lend();
        let shared = lent.share();
        lent.set(5, &Context::from_waker(&waker));
        drop(waker);
        assert_eq!(Arc::strong_count(&count), 2);
        drop(lent);
        assert_eq!(Arc::strong_count(&count), 1);
        shared.ring();
        alarms.look(9);
        assert_eq!(count.0.load(Relaxed), 0);
    }
}
