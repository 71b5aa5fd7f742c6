//! How many requests an upstream serves well at once, found out by how long they take.
//!
//! As long as an upstream has room, its latency does not depend on how many requests it has; once it has none they wait in
//! its own queues. The limit therefore grows while latency stays near what it is without a queue (the *baseline*), and
//! shrinks in proportion once it does not. The arithmetic is that of the gradient limiters of Netflix and Envoy, except
//! that a limit nobody comes near says nothing and is left alone, and that the baseline is looked for anew by half the
//! limit, not by next to nothing, so that clients don't notice.
//!
//! [`Gradient`] is the arithmetic, [`Adaptive`] the counters that requests touch: three atomic additions for each.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

/// Bounds and patience of the limit that follows latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveConfig {
    /// Never fewer requests at once than this; at least 1. Default 4.
    pub min: usize,
    /// Where it begins. Default 20.
    pub initial: usize,
    /// How many times the baseline latency may grow before the limit shrinks; at least 1. Default 1.5.
    pub tolerance: f64,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self { min: 4, initial: 20, tolerance: 1.5 }
    }
}

/// The shortest window.
const WINDOW: Duration = Duration::from_millis(100);
/// A window lasts so many mean latencies at least, so that what began in it has ended in it.
const LATENCIES: u32 = 2;
/// Requests that a window has at least.
const SAMPLES: u64 = 10;
/// Windows at the limit after which the baseline is looked for anew: 30 s at the shortest.
const PROBE_AFTER: u32 = 300;
/// A window changes the limit to no less than this part of it.
const STEEPEST: f64 = 0.5;

/// What was seen in one window.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Mean latency in seconds, above zero.
    latency: f64,
    /// The most requests at once.
    peak: usize,
}

/// What the window that runs is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The limit follows latency; so many windows in a row stood at it.
    Follow(u32),
    /// Half the limit, until queues are empty. The limit to go back to.
    Drain(f64),
    /// Half the limit: latency is the baseline.
    Measure(f64),
}

/// The limit as a function of what was seen.
#[derive(Debug)]
struct Gradient {
    min: f64,
    max: f64,
    tolerance: f64,
    limit: f64,
    baseline: Option<f64>,
    phase: Phase,
}

impl Gradient {
    fn new(config: &AdaptiveConfig, max: usize) -> Self {
        let (min, max) = (config.min.clamp(1, max.max(1)) as f64, max.max(1) as f64);
        Self {
            min,
            max,
            tolerance: config.tolerance.max(1.0),
            limit: (config.initial as f64).clamp(min, max),
            baseline: None,
            phase: Phase::Follow(0),
        }
    }

    /// Requests at once; at least 1.
    fn limit(&self) -> usize {
        match self.phase {
            Phase::Follow(_) => self.limit as usize,
            Phase::Drain(_) | Phase::Measure(_) => (self.limit / 2.0).max(self.min) as usize,
        }
    }

    /// Draws the conclusions of a window.
    fn end(&mut self, window: Window) {
        self.phase = match self.phase {
            Phase::Drain(limit) => Phase::Measure(limit),
            Phase::Measure(limit) => {
                self.baseline = Some(window.latency);
                self.limit = limit;
                Phase::Follow(0)
            }
            Phase::Follow(windows) => {
                let baseline = self.baseline.unwrap_or(window.latency);
                if (window.peak as f64) < self.limit / 2.0 {
                    // Nobody wanted more: whatever latency there is, it does not come from a queue behind this limit.
                    self.baseline = Some(baseline + (window.latency - baseline) / 4.0);
                    Phase::Follow(0)
                } else {
                    let gradient = (self.tolerance * baseline / window.latency).clamp(STEEPEST, 1.0);
                    // The square root is room to grow, and to see by its effect whether there is any.
                    self.limit = (self.limit * gradient + self.limit.sqrt()).clamp(self.min, self.max);
                    self.baseline = Some(baseline.min((baseline + window.latency) / 2.0));
                    if windows >= PROBE_AFTER { Phase::Drain(self.limit) } else { Phase::Follow(windows + 1) }
                }
            }
        };
    }
}

/// The limit of one upstream, and the window that runs.
#[derive(Debug)]
pub(crate) struct Adaptive {
    limit: AtomicUsize,
    origin: Instant,
    /// Microseconds after `origin` at which the window began.
    began: AtomicU64,
    /// Microseconds that it lasts at least.
    least: AtomicU64,
    /// Its latencies in microseconds, and how many they are. A sample that comes as a window ends may count in either.
    sum: AtomicU64,
    count: AtomicU64,
    peak: AtomicUsize,
    gradient: Mutex<Gradient>,
}

impl Adaptive {
    /// A limit of at most `max`.
    pub(crate) fn new(config: &AdaptiveConfig, max: usize) -> Self {
        let gradient = Gradient::new(config, max);
        Self {
            limit: AtomicUsize::new(gradient.limit()),
            origin: Instant::now(),
            began: AtomicU64::new(0),
            least: AtomicU64::new(micros(WINDOW)),
            sum: AtomicU64::new(0),
            count: AtomicU64::new(0),
            peak: AtomicUsize::new(0),
            gradient: Mutex::new(gradient),
        }
    }

    /// Requests at once.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Takes note that so many requests are inside.
    pub(crate) fn entered(&self, active: usize) {
        if active > self.peak.load(Relaxed) {
            self.peak.fetch_max(active, Relaxed);
        }
    }

    /// Takes note of a request that was answered, or found too slow, now. Tells whether the limit may have grown.
    pub(crate) fn ended(&self, began: Instant) -> bool {
        let (from, now) = (self.since(began), self.since(Instant::now()));
        // What began before the window does not show what its limit does.
        if from < self.began.load(Relaxed) {
            return false;
        }
        self.sum.fetch_add(now.saturating_sub(from).max(1), Relaxed);
        let count = self.count.fetch_add(1, Relaxed) + 1;
        count >= SAMPLES
            && now.saturating_sub(self.began.load(Relaxed)) >= self.least.load(Relaxed)
            && self.end_window(now)
    }

    /// One caller ends a window, nobody waits for him.
    fn end_window(&self, now: u64) -> bool {
        let mut gradient = match self.gradient.try_lock() {
            Ok(gradient) => gradient,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return false,
        };
        let count = self.count.swap(0, Relaxed);
        if count < SAMPLES {
            // Another one has just ended it.
            self.count.fetch_add(count, Relaxed);
            return false;
        }
        let mean = self.sum.swap(0, Relaxed) / count;
        let peak = self.peak.swap(0, Relaxed);
        gradient.end(Window { latency: mean.max(1) as f64 / 1e6, peak });
        self.least.store(micros(WINDOW).max(mean.saturating_mul(LATENCIES.into())), Relaxed);
        self.began.store(now, Relaxed);
        let limit = gradient.limit();
        self.limit.swap(limit, Relaxed) < limit
    }

    fn since(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.origin))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A server that answers `capacity` requests at once in `service` seconds, and lets more wait.
    #[derive(Clone, Copy)]
    struct Server {
        capacity: f64,
        service: f64,
    }

    impl Server {
        /// Mean latency with so many inside (Little's law), a few percent up or down.
        fn latency(self, inside: usize, noise: f64) -> f64 {
            self.service * (inside as f64 / self.capacity).max(1.0) * (1.0 + 0.1 * (noise - 0.5))
        }
    }

    fn gradient(max: usize) -> Gradient {
        Gradient::new(&AdaptiveConfig::default(), max)
    }

    /// Lets as many requests come as there may be, for so many windows.
    fn load(gradient: &mut Gradient, server: Server, windows: u32, noise: &mut u64) {
        for _ in 0..windows {
            *noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let inside = gradient.limit();
            let latency = server.latency(inside, (*noise >> 33) as f64 / f64::from(1u32 << 31));
            gradient.end(Window { latency, peak: inside });
        }
    }

    #[test]
    fn it_finds_what_a_server_can_do_and_follows_it() {
        let (mut gradient, mut noise) = (gradient(1024), 7);
        for (capacity, service) in [(50.0, 0.02), (200.0, 0.02), (25.0, 0.02), (25.0, 0.08), (100.0, 0.005)] {
            let server = Server { capacity, service };
            // Two probes: a slower server is told from a full one by them alone.
            load(&mut gradient, server, 2 * PROBE_AFTER + 100, &mut noise);
            for _ in 0..PROBE_AFTER {
                load(&mut gradient, server, 1, &mut noise);
                if matches!(gradient.phase, Phase::Follow(_)) {
                    let most = 1.5 * capacity + 2.0 * capacity.sqrt() + 8.0;
                    assert!((0.9 * capacity..=most).contains(&gradient.limit), "{capacity} {service}: {gradient:?}");
                }
            }
        }
    }

    #[test]
    fn an_idle_upstream_keeps_its_limit_and_learns_its_latency() {
        let mut gradient = gradient(1024);
        load(&mut gradient, Server { capacity: 50.0, service: 0.01 }, 100, &mut 1);
        let limit = gradient.limit;
        for _ in 0..1000 {
            gradient.end(Window { latency: 0.5, peak: 3 });
        }
        assert_eq!(gradient.limit, limit);
        assert!((gradient.baseline.unwrap() - 0.5).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn the_limit_stays_within_its_bounds(
            min in 0usize..50,
            initial in 0usize..3000,
            max in 0usize..2000,
            tolerance in -1.0f64..10.0,
            windows in prop::collection::vec((1e-6f64..1e4, 0usize..3000), 1..700),
        ) {
            let mut gradient = Gradient::new(&AdaptiveConfig { min, initial, tolerance }, max);
            for (latency, peak) in windows {
                gradient.end(Window { latency, peak });
                let (least, most) = (min.clamp(1, max.max(1)), max.max(1));
                prop_assert!((least..=most).contains(&gradient.limit()), "{:?}", gradient);
            }
        }

        #[test]
        fn it_grows_where_latency_stays_and_shrinks_where_it_does_not(latency in 1e-5f64..10.0, slower in 4.0f64..100.0) {
            let mut gradient = gradient(1000);
            for _ in 0..20 {
                let before = gradient.limit;
                gradient.end(Window { latency, peak: gradient.limit() });
                prop_assert!(gradient.limit > before);
            }
            let before = gradient.limit;
            gradient.end(Window { latency: latency * slower, peak: gradient.limit() });
            prop_assert!(gradient.limit < before);
        }
    }
}
