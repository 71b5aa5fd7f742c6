//! The counters behind one set of labels: plain atomics.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::labels::Labels;

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Gateway,
    Upstream,
}

/// What there is to tell of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) code: u16,
    pub(super) source: Source,
    pub(super) request: Duration,
    /// `None` when no endpoint got the request.
    pub(super) upstream: Option<Duration>,
    pub(super) ingress: u64,
    pub(super) egress: u64,
}

/// The counters of one set of labels.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) labels: Labels,
    pub(super) codes: Codes,
    pub(super) request: Histogram,
    pub(super) upstream: Histogram,
    pub(super) gateway: Histogram,
    pub(super) ingress: AtomicU64,
    pub(super) egress: AtomicU64,
    /// When the last request ended, in seconds as the caller counts them.
    touched: AtomicU32,
}

impl Meter {
    /// Counters at zero, with one bucket for each of so many bounds and one above them.
    pub(super) fn new(labels: Labels, bounds: usize) -> Self {
        Self {
            labels,
            codes: Codes::default(),
            request: Histogram::new(bounds),
            upstream: Histogram::new(bounds),
            gateway: Histogram::new(bounds),
            ingress: AtomicU64::new(0),
            egress: AtomicU64::new(0),
            touched: AtomicU32::new(0),
        }
    }

    /// Counts a request that ended at second `now`.
    pub(super) fn record(&self, outcome: &Outcome, bounds: &[u64], now: u32) {
        self.codes.add(outcome.code, outcome.source);
        self.request.observe(outcome.request, bounds);
        if let Some(upstream) = outcome.upstream {
            self.upstream.observe(upstream, bounds);
        }
        self.gateway.observe(outcome.request.saturating_sub(outcome.upstream.unwrap_or_default()), bounds);
        self.ingress.fetch_add(outcome.ingress, Relaxed);
        self.egress.fetch_add(outcome.egress, Relaxed);
        // Most requests end in a second that is written down already: then the line stays shared between the cores.
        if self.touched.load(Relaxed) != now {
            self.touched.store(now, Relaxed);
        }
    }

    /// The second in which the last request ended.
    pub(super) fn touched(&self) -> u32 {
        self.touched.load(Relaxed)
    }
}

/// A distribution of times.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Box<[AtomicU64]>,
    /// In microseconds.
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: usize) -> Self {
        Self { buckets: (0..=bounds).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Counts a time. `bounds` are in microseconds, ascending, and each belongs to its own bucket.
    fn observe(&self, time: Duration, bounds: &[u64]) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // Most times are short, so the first bounds are the likely ones.
        let bucket = bounds.iter().position(|bound| time <= *bound).unwrap_or(bounds.len());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(time, Relaxed);
    }

    /// Counts by bucket, not cumulated.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed))
    }

    /// Microseconds in all.
    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }
}

/// Requests by status and source: a list, as most sets of labels see very few of them.
#[derive(Debug, Default)]
pub(super) struct Codes(OnceLock<Box<Code>>);

#[derive(Debug)]
struct Code {
    code: u16,
    source: Source,
    count: AtomicU64,
    next: Codes,
}

impl Codes {
    fn add(&self, code: u16, source: Source) {
        let mut at = self;
        loop {
            let one =
                at.0.get_or_init(|| Box::new(Code { code, source, count: AtomicU64::new(0), next: Codes::default() }));
            if (one.code, one.source) == (code, source) {
                one.count.fetch_add(1, Relaxed);
                return;
            }
            at = &one.next;
        }
    }

    /// What was counted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Source, u64)> {
        let codes = std::iter::successors(self.0.get(), |code| code.next.0.get());
        codes.map(|code| (code.code, code.source, code.count.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_at_a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::new(2);
        for micros in [0, 1000, 1001, 2000, 2001, 9_000_000] {
            histogram.observe(Duration::from_micros(micros), &[1000, 2000]);
        }
        assert_eq!(histogram.counts().collect::<Vec<_>>(), [2, 2, 2]);
        assert_eq!(histogram.sum(), 9_006_002);
    }

    #[test]
    fn statuses_are_counted_apart_and_by_source() {
        let codes = Codes::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for code in 200..300 {
                        codes.add(code, Source::Upstream);
                        codes.add(code, Source::Gateway);
                    }
                });
            }
        });
        assert_eq!(codes.iter().count(), 200);
        assert!(codes.iter().all(|(_, _, count)| count == 4));
    }
}
