//! Probes every endpoint of one upstream, each in its time.
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fmt;
use std::future::{Future, pending};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::config::ActiveConfig;
use super::later::later;
use super::machine::{Report, Thresholds};
use super::record::{Health, Side};

/// Over which time the first probes of new endpoints are spread, if the interval is not shorter.
const SPREAD: Duration = Duration::from_secs(10);

/// How an endpoint is probed.
pub(crate) trait Probe: Send + Sync + 'static {
    /// What one probe of `address`, which is called `host`, says of it; `None` is nothing.
    fn probe(&self, address: SocketAddr, host: &HeaderValue) -> impl Future<Output = Option<Report>> + Send;
}

/// An endpoint to probe.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) health: Arc<Health>,
    pub(crate) address: SocketAddr,
    /// What it is called.
    pub(crate) host: HeaderValue,
}

impl Target {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.health, &other.health) && self.address == other.address && self.host == other.host
    }
}

/// The checker of one upstream: no task and no timer for an endpoint, but one queue for all, and a task for each probe
/// that runs. Dropping it ends these.
pub(crate) struct Checker<P> {
    probe: Arc<P>,
    concurrency: usize,
    thresholds: Thresholds,
    healthy_interval: Duration,
    unhealthy_interval: Duration,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// When which slot is due. An entry whose turn is not its slot's is out of date.
    queue: BinaryHeap<Reverse<(Instant, usize, u32)>>,
    running: JoinSet<Ended>,
    /// A part of the interval, by chance, so that many gateways don't probe at the same moments.
    phase: f64,
}

#[derive(Debug, Default)]
struct Slot {
    target: Option<Target>,
    /// Counted up with each entry in the queue, each start of a probe and each change of target.
    turn: u32,
    began: Option<Instant>,
    due: Option<Instant>,
}

struct Ended {
    slot: usize,
    turn: u32,
    report: Option<Report>,
}

impl<P: Probe> Checker<P> {
    /// A checker of nothing.
    pub(crate) fn new(config: &ActiveConfig, probe: P) -> Self {
        Self {
            probe: Arc::new(probe),
            concurrency: config.concurrency.max(1),
            thresholds: config.thresholds,
            healthy_interval: config.healthy_interval,
            unhealthy_interval: config.unhealthy_interval,
            slots: Vec::new(),
            free: Vec::new(),
            queue: BinaryHeap::new(),
            running: JoinSet::new(),
            phase: (RandomState::new().hash_one(0u8) >> 11) as f64 / (1u64 << 53) as f64,
        }
    }

    /// Probes these from now on, and no others.
    ///
    /// Who was probed before, be it by another checker, is probed next when that is due; the first probes of the others
    /// are spread over the interval.
    pub(crate) fn set_targets(&mut self, mut targets: Vec<Target>) {
        let key = |target: &Target| (Arc::as_ptr(&target.health), target.address);
        // A name may lead to the same address twice.
        let mut seen = HashSet::new();
        targets.retain(|target| seen.insert(key(target)));
        let before =
            self.slots.iter().enumerate().filter_map(|(slot, held)| held.target.as_ref().map(|one| (key(one), slot)));
        let mut before: HashMap<_, _> = before.collect();
        let mut new = Vec::new();
        for target in targets {
            let held = before.get(&key(&target)).and_then(|slot| self.slots.get(*slot)?.target.as_ref());
            if held.is_some_and(|held| held.is_same(&target)) {
                before.remove(&key(&target));
            } else {
                new.push(target);
            }
        }
        for slot in before.into_values() {
            if let Some(held) = self.slots.get_mut(slot) {
                *held = Slot { turn: held.turn.wrapping_add(1), ..Slot::default() };
                self.free.push(slot);
            }
        }
        let (now, count) = (Instant::now(), new.len() as f64);
        for (index, target) in new.into_iter().enumerate() {
            let part = (self.phase + index as f64 / count).fract();
            self.add(target, now, part);
        }
        self.pull_forward();
    }

    /// Endpoints whose usability has changed are due earlier, if that is what their new interval says.
    pub(crate) fn pull_forward(&mut self) {
        for slot in 0..self.slots.len() {
            let Some(Slot { target: Some(target), due: Some(due), began: Some(began), .. }) = self.slots.get(slot)
            else {
                continue;
            };
            let earlier = later(*began, self.interval(&target.health));
            if earlier < *due {
                self.queue(slot, earlier);
            }
        }
    }

    /// Probes until that has changed whether one of the endpoints is usable. Nothing is lost if the future is dropped.
    pub(crate) async fn changed(&mut self) {
        loop {
            let due = self.start();
            let wake = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    let mut changed = self.end(ended);
                    while let Some(ended) = self.running.try_join_next() {
                        changed |= self.end(ended);
                    }
                    if changed {
                        return;
                    }
                }
                () = wake => {}
            }
        }
    }

    /// Starts what is due as far as there is room; says when the next is due for which there is.
    fn start(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while self.running.len() < self.concurrency {
            let Reverse((due, slot, turn)) = *self.queue.peek()?;
            let held = self.slots.get_mut(slot).filter(|held| held.turn == turn);
            let Some(Slot { target: Some(target), turn, began, due: queued }) = held else {
                self.queue.pop();
                continue;
            };
            if due > now {
                return Some(due);
            }
            (*queued, *began) = (None, Some(now));
            *turn = turn.wrapping_add(1);
            let (turn, target, probe) = (*turn, target.clone(), Arc::clone(&self.probe));
            target.health.kept().probed = Some((now, target.host.clone()));
            self.queue.pop();
            self.running.spawn(async move {
                let report = probe.probe(target.address, &target.host).await;
                Ended { slot, turn, report }
            });
        }
        None
    }

    /// Takes what a probe says, unless its endpoint has gone meanwhile; says whether that changed its usability.
    fn end(&mut self, ended: Result<Ended, JoinError>) -> bool {
        // Only a probe that panics has no end; its endpoint is then left alone.
        let Ok(Ended { slot, turn, report }) = ended else { return false };
        let held = self.slots.get(slot).filter(|held| held.turn == turn);
        let Some(Slot { target: Some(target), began, .. }) = held else { return false };
        let (health, began) = (Arc::clone(&target.health), *began);
        let changed = report.is_some_and(|report| health.report(report, &self.thresholds, Side::Probe, || Some(())));
        let now = Instant::now();
        self.queue(slot, began.map_or(now, |began| later(began, self.interval(&health)).max(now)));
        changed
    }

    fn add(&mut self, target: Target, now: Instant, part: f64) {
        let interval = self.interval(&target.health);
        let began = {
            let mut kept = target.health.kept();
            match kept.probed.take() {
                Some((began, host)) if host == target.host => {
                    kept.probed = Some((began, host));
                    Some(began)
                }
                Some(_) => {
                    // Under another name it may be another one (upstream.md §7.5).
                    drop(kept);
                    target.health.reset();
                    None
                }
                None => None,
            }
        };
        let due = match began {
            Some(began) => later(began, interval).max(now),
            None => now + interval.min(SPREAD).mul_f64(part),
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        if let Some(held) = self.slots.get_mut(slot) {
            (held.target, held.began) = (Some(target), began);
        }
        self.queue(slot, due);
    }

    fn queue(&mut self, slot: usize, due: Instant) {
        if let Some(held) = self.slots.get_mut(slot) {
            held.turn = held.turn.wrapping_add(1);
            held.due = Some(due);
            self.queue.push(Reverse((due, slot, held.turn)));
        }
    }

    fn interval(&self, health: &Health) -> Duration {
        if health.is_usable() { self.healthy_interval } else { self.unhealthy_interval }
    }
}

impl<P> fmt::Debug for Checker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("targets", &(self.slots.len() - self.free.len()))
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::super::record::tests::health;
    use super::*;

    /// Answers at once or after a while, and writes down what it was asked.
    #[derive(Clone, Default)]
    struct Scripted(Arc<Script>);

    #[derive(Default)]
    struct Script {
        down: Mutex<Vec<u16>>,
        asked: Mutex<Vec<(u16, Instant)>>,
        takes: Duration,
        running: AtomicUsize,
        most: AtomicUsize,
    }

    impl Probe for Scripted {
        async fn probe(&self, address: SocketAddr, _: &HeaderValue) -> Option<Report> {
            let script = &self.0;
            script.asked.lock().unwrap().push((address.port(), Instant::now()));
            script.most.fetch_max(script.running.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(script.takes).await;
            script.running.fetch_sub(1, SeqCst);
            let down = script.down.lock().unwrap().contains(&address.port());
            Some(if down { Report::TcpFailure } else { Report::Success })
        }
    }

    impl Scripted {
        fn asked(&self, port: u16) -> Vec<Instant> {
            self.0.asked.lock().unwrap().iter().filter(|(asked, _)| *asked == port).map(|(_, at)| *at).collect()
        }
    }

    fn target(port: u16) -> Target {
        Target {
            health: Arc::new(health("a")),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            host: HeaderValue::from_static("a"),
        }
    }

    fn config(healthy: u64, unhealthy: u64) -> ActiveConfig {
        ActiveConfig {
            healthy_interval: Duration::from_secs(healthy),
            unhealthy_interval: Duration::from_secs(unhealthy),
            ..ActiveConfig::default()
        }
    }

    /// Runs it for so long; gives how often a change was told.
    async fn run(checker: &mut Checker<Scripted>, seconds: u64) -> usize {
        let (end, mut changes) = (Instant::now() + Duration::from_secs(seconds), 0);
        while tokio::time::timeout_at(end, checker.changed()).await.is_ok() {
            changes += 1;
        }
        changes
    }

    #[tokio::test(start_paused = true)]
    async fn each_state_has_its_cadence() {
        let (probe, targets) = (Scripted::default(), [target(1), target(2)]);
        probe.0.down.lock().unwrap().push(2);
        let mut checker = Checker::new(&config(10, 2), probe.clone());
        checker.set_targets(targets.to_vec());
        assert_eq!(run(&mut checker, 60).await, 1);
        let gaps =
            |port| -> Vec<u64> { probe.asked(port).windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect() };
        assert!(gaps(1).iter().all(|gap| *gap == 10), "{:?}", gaps(1));
        assert!(gaps(2)[0] == 10 && gaps(2)[1..].iter().all(|gap| *gap == 2), "{:?}", gaps(2));
        // Back after two successes.
        probe.0.down.lock().unwrap().clear();
        assert_eq!(run(&mut checker, 4).await, 1);
        assert!(targets[1].health.is_usable());
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_spread_and_bounded() {
        let probe = Scripted(Arc::new(Script { takes: Duration::from_millis(5), ..Script::default() }));
        let mut checker = Checker::new(&ActiveConfig { concurrency: 7, ..config(1, 1) }, probe.clone());
        checker.set_targets((1..=1000).map(target).collect());
        run(&mut checker, 4).await;
        assert!(probe.0.most.load(SeqCst) <= 7);
        for port in 1..=1000 {
            assert!((3..=5).contains(&probe.asked(port).len()), "{port}: {:?}", probe.asked(port));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn survivors_keep_their_time_and_the_removed_are_never_probed_again() {
        let (probe, targets) = (Scripted::default(), [target(1), target(2), target(3)]);
        let mut checker = Checker::new(&config(5, 5), probe.clone());
        checker.set_targets(targets[..2].to_vec());
        run(&mut checker, 13).await;
        let (first, gone) = (probe.asked(1)[0], probe.asked(2).len());
        checker.set_targets(vec![targets[2].clone(), targets[0].clone()]);
        run(&mut checker, 20).await;
        // A checker that takes over goes on where this one was.
        drop(checker);
        let mut checker = Checker::new(&config(5, 5), probe.clone());
        checker.set_targets(vec![targets[0].clone(), targets[2].clone()]);
        run(&mut checker, 20).await;
        assert_eq!(probe.asked(2).len(), gone);
        assert!(probe.asked(1).iter().all(|at| (*at - first).as_millis() % 5000 < 3), "{:?}", probe.asked(1));
        assert!(probe.asked(1).len() >= 10 && probe.asked(3).len() >= 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_runs_says_nothing_of_who_has_gone() {
        let probe = Scripted(Arc::new(Script { takes: Duration::from_secs(3), ..Script::default() }));
        probe.0.down.lock().unwrap().push(1);
        let gone = target(1);
        let once =
            ActiveConfig { thresholds: Thresholds { tcp_failures: 1, ..config(1, 1).thresholds }, ..config(1, 1) };
        let mut checker = Checker::new(&once, probe.clone());
        checker.set_targets(vec![gone.clone()]);
        run(&mut checker, 2).await;
        assert_eq!(probe.asked(1).len(), 1);
        checker.set_targets(vec![target(2)]);
        run(&mut checker, 9).await;
        assert!(gone.health.is_usable() && probe.asked(1).len() == 1 && !probe.asked(2).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_taken_out_meanwhile_is_due_sooner() {
        let (probe, out) = (Scripted::default(), target(1));
        let mut checker = Checker::new(&config(100, 1), probe.clone());
        checker.set_targets(vec![out.clone()]);
        run(&mut checker, 20).await;
        assert_eq!(probe.asked(1).len(), 1);
        for _ in 0..2 {
            out.health.report(Report::TcpFailure, &config(1, 1).thresholds, Side::Traffic, || Some(()));
        }
        checker.pull_forward();
        assert_eq!(run(&mut checker, 3).await, 1);
        assert!(out.health.is_usable());
    }

    #[tokio::test(start_paused = true)]
    async fn another_name_is_another_endpoint() {
        let (probe, mut renamed) = (Scripted::default(), target(1));
        probe.0.down.lock().unwrap().push(1);
        let mut checker = Checker::new(&config(1, 1), probe.clone());
        checker.set_targets(vec![renamed.clone()]);
        run(&mut checker, 5).await;
        assert!(!renamed.health.is_usable());
        renamed.host = HeaderValue::from_static("b");
        checker.set_targets(vec![renamed.clone()]);
        assert!(renamed.health.is_usable());
    }
}
