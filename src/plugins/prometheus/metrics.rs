//! All counters of one gateway, found by their labels.
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use papaya::HashMap;
use tokio::time::Instant;

use super::config::{PrometheusAttr, PrometheusConfig};
use super::labels::{Labels, Masks, Sought, others};
use super::layer::{Prometheus, PrometheusLayer};
use super::meter::{Meter, Outcome};
use super::plan::Plan;
use crate::plugin::ConfigError;

/// The metrics of one gateway. A clone shares them.
#[derive(Clone)]
pub struct Metrics(pub(super) Arc<Inner>);

pub(super) struct Inner {
    plan: OnceLock<Plan>,
    meters: HashMap<Labels, Arc<Meter>, foldhash::fast::RandomState>,
    /// Requests that were counted under `*`.
    pub(super) overflows: AtomicU64,
    /// Requests behind labels that were forgotten.
    retired: AtomicU64,
    begun: Instant,
    figures: Mutex<Vec<Figure>>,
    /// The last text.
    pub(super) text: tokio::sync::Mutex<Option<(Instant, Bytes)>>,
}

/// A figure of the host's.
#[derive(Clone)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// `gauge` or `counter`.
    pub(super) kind: &'static str,
    /// What tells its values apart, if there are several.
    pub(super) label: Option<&'static str>,
    pub(super) read: Arc<dyn Fn() -> Vec<(&'static str, f64)> + Send + Sync>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Inner {
            plan: OnceLock::new(),
            meters: HashMap::default(),
            overflows: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            begun: Instant::now(),
            figures: Mutex::default(),
            text: tokio::sync::Mutex::default(),
        }))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics({} sets of labels)", self.0.meters.len())
    }
}

impl Metrics {
    /// Metrics of their own.
    ///
    /// # Errors
    /// [`ConfigError`] for an attribute out of its range.
    pub fn new(attr: PrometheusAttr) -> Result<Self, ConfigError> {
        let metrics = Self::default();
        metrics.settle(attr)?;
        Ok(metrics)
    }

    /// The attributes that are in force; `None` before a block was built.
    pub fn attr(&self) -> Option<&PrometheusAttr> {
        self.0.plan.get().map(|plan| &plan.attr)
    }

    /// A layer that counts here.
    pub fn layer(&self, config: &PrometheusConfig) -> PrometheusLayer {
        self.masked(config, Masks::default())
    }

    pub(super) fn masked(&self, config: &PrometheusConfig, masks: Masks) -> PrometheusLayer {
        PrometheusLayer::of(Prometheus::new(self.clone(), config, masks))
    }

    /// Adds a figure of the program to the text: its name without the prefix, what it says, and what reads it.
    pub fn gauge(&self, name: &'static str, help: &'static str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        let read = Arc::new(move || vec![("", read())]);
        self.figures().push(Figure { name, help, kind: "gauge", label: None, read });
    }

    /// Adds counters of the program to the text: their name without the prefix, what they say, the label that tells them
    /// apart, and what reads them, each with the value of that label.
    ///
    /// ```
    /// # let metrics = tollgate::plugins::prometheus::Metrics::default();
    /// metrics.counters("jobs_total", "Jobs by how they ended.", "result", || vec![("done", 7), ("failed", 0)]);
    /// ```
    pub fn counters(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
    ) {
        let read = Arc::new(move || read().into_iter().map(|(value, count)| (value, count as f64)).collect());
        self.figures().push(Figure { name, help, kind: "counter", label: Some(label), read });
    }

    /// Puts attributes into force, unless some are.
    pub(super) fn settle(&self, attr: PrometheusAttr) -> Result<(), ConfigError> {
        let plan = Plan::new(attr)?;
        self.0.plan.get_or_init(|| plan);
        Ok(())
    }

    pub(super) fn figures(&self) -> MutexGuard<'_, Vec<Figure>> {
        self.0.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(super) fn plan(&self) -> &Plan {
        self.plan.get_or_init(Plan::default)
    }

    /// The second that it is, counted from when the metrics began.
    fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.begun).as_secs()).unwrap_or(u32::MAX)
    }

    /// Counts a request that ended at `now`.
    pub(super) fn record(&self, sought: Sought<'_>, outcome: &Outcome, now: Instant) {
        let (plan, second) = (self.plan(), self.second(now));
        let meters = self.meters.pin();
        if let Some(meter) = meters.get(&sought) {
            return meter.record(outcome, &plan.bounds, second);
        }
        let make = |sought: Sought<'_>| {
            let labels = sought.to_labels();
            let meter = Arc::new(Meter::new(labels.clone(), plan.bounds.len()));
            meters.get_or_insert(labels, meter).record(outcome, &plan.bounds, second);
        };
        let most = plan.attr.max_label_sets;
        if meters.len() < most {
            return make(sought);
        }
        self.overflows.fetch_add(1, Relaxed);
        let others = others(plan.extra.len());
        let coarse = sought.coarse(&others);
        if let Some(meter) = meters.get(&coarse) {
            return meter.record(outcome, &plan.bounds, second);
        }
        // What a configuration bounds gets as much room again; then there is one place for everything.
        if meters.len() < most.saturating_mul(2) { make(coarse) } else { make(sought.coarsest(&others)) }
    }

    /// Every set of labels, after those were forgotten that all metrics that have it let expire.
    pub(super) fn meters(&self) -> Vec<Arc<Meter>> {
        let plan = self.plan();
        let expiries = super::labels::FAMILIES.map(|family| plan.expiry(family));
        let longest = expiries.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        let second = self.second(Instant::now());
        let meters = self.meters.pin();
        let mut live = Vec::with_capacity(meters.len());
        for (labels, meter) in &meters {
            if longest.is_some_and(|longest| second.saturating_sub(meter.touched()) > longest) {
                meters.remove(labels);
                let requests: u64 = meter.codes.iter().map(|(_, _, count)| count).sum();
                self.retired.fetch_add(requests, Relaxed);
            } else {
                live.push(Arc::clone(meter));
            }
        }
        live
    }

    /// Requests that were counted behind labels that are forgotten.
    pub(super) fn retired(&self) -> u64 {
        self.retired.load(Relaxed)
    }

    /// How long ago a set of labels had its last request.
    pub(super) fn age(&self, meter: &Meter) -> Duration {
        Duration::from_secs(self.second(Instant::now()).saturating_sub(meter.touched()).into())
    }
}
