//! The text that Prometheus collects (text format 0.0.4).
//!
//! Series whose labels are the same once those are empty that are disabled are added up here, so that a request raises
//! the same counters whatever is shown.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::labels::{Family, RESPONSE_SOURCE, escape};
use super::meter::{Histogram, Meter, Source};
use super::metrics::{Figure, Inner};
use super::plan::Plan;

/// Writes everything.
pub(super) fn write(metrics: &Inner, figures: &[Figure]) -> String {
    let plan = metrics.plan();
    let meters = metrics.meters();
    let live = |family: Family| {
        let expiry = plan.expiry(family);
        meters.iter().filter(move |meter| expiry.is_none_or(|expiry| metrics.age(meter).as_secs() <= expiry.into()))
    };
    let mut text = Text { out: String::with_capacity(4096 + meters.len() * 4096), prefix: &plan.attr.metric_prefix };
    statuses(&mut text, plan, live(Family::Status));
    latencies(&mut text, plan, live(Family::Latency));
    bandwidths(&mut text, plan, live(Family::Bandwidth));
    let counted: u64 = meters.iter().flat_map(|meter| meter.codes.iter()).map(|(_, _, count)| count).sum();
    text.single("http_requests_total", "gauge", "Requests since the start.", (counted + metrics.retired()) as f64);
    text.head("node_info", "gauge", "Which node this is.");
    let mut labels = String::from("hostname=\"");
    escape(&mut labels, &hostname());
    labels.push_str(concat!("\",version=\"", env!("CARGO_PKG_VERSION"), "\""));
    text.line("node_info", "", &labels, 1.0);
    text.single("label_sets", "gauge", "Sets of labels in memory.", meters.len() as f64);
    let overflows = metrics.overflows.load(std::sync::atomic::Ordering::Relaxed);
    text.single(
        "label_set_overflows_total",
        "counter",
        "Requests whose labels had no place and stand under *.",
        overflows as f64,
    );
    for figure in figures {
        text.head(figure.name, figure.kind, figure.help);
        for (of, value) in (figure.read)() {
            match figure.label {
                None => text.plain(figure.name, value),
                Some(label) => text.line(figure.name, "", &format!("{label}=\"{of}\""), value),
            }
        }
    }
    text.out
}

struct Text<'a> {
    out: String,
    prefix: &'a str,
}

impl Text<'_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let prefix = self.prefix;
        // Writing to a string cannot fail.
        let _ = write!(self.out, "# HELP {prefix}{name} {help}\n# TYPE {prefix}{name} {kind}\n");
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &str, value: f64) {
        let _ = writeln!(self.out, "{}{name}{suffix}{{{labels}}} {value}", self.prefix);
    }

    fn count(&mut self, name: &str, suffix: &str, labels: std::fmt::Arguments<'_>, value: u64) {
        let _ = writeln!(self.out, "{}{name}{suffix}{{{labels}}} {value}", self.prefix);
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.plain(name, value);
    }

    fn plain(&mut self, name: &str, value: f64) {
        let _ = writeln!(self.out, "{}{name} {value}", self.prefix);
    }
}

/// The labels of a metric as text, the metric's own and extra ones.
type Texts = (String, String);

fn labels(meter: &Meter, family: Family, plan: &Plan) -> Texts {
    let names = plan.extra.iter().map(|extra| (extra.family == family).then_some(extra.name.as_str()));
    (meter.labels.write(family), meter.labels.write_extra(names))
}

fn statuses<'m>(text: &mut Text<'_>, plan: &Plan, meters: impl Iterator<Item = &'m Arc<Meter>>) {
    let mut sums: BTreeMap<(Texts, u16, Option<Source>), u64> = BTreeMap::new();
    for meter in meters {
        let labels = labels(meter, Family::Status, plan);
        let told = !meter.labels.is_masked(Family::Status, RESPONSE_SOURCE);
        for (code, source, count) in meter.codes.iter() {
            *sums.entry((labels.clone(), code, told.then_some(source))).or_default() += count;
        }
    }
    let name = Family::Status.name();
    text.head(name, "counter", "Requests by status.");
    for (((own, extra), code, source), count) in sums {
        let source = match source {
            None => "",
            Some(Source::Upstream) => "upstream",
            Some(Source::Gateway) => plan.gateway(),
        };
        text.count(name, "", format_args!("code=\"{code}\",{own},response_source=\"{source}\"{extra}"), count);
    }
}

/// A histogram, added up.
#[derive(Clone, Default)]
struct Sum {
    counts: Vec<u64>,
    micros: u64,
}

impl Sum {
    fn add(&mut self, histogram: &Histogram) {
        self.counts.resize(histogram.counts().count(), 0);
        self.counts.iter_mut().zip(histogram.counts()).for_each(|(sum, count)| *sum += count);
        self.micros += histogram.sum();
    }
}

fn latencies<'m>(text: &mut Text<'_>, plan: &Plan, meters: impl Iterator<Item = &'m Arc<Meter>>) {
    let mut sums: BTreeMap<Texts, [Sum; 3]> = BTreeMap::new();
    for meter in meters {
        let sum = sums.entry(labels(meter, Family::Latency, plan)).or_default();
        let all = [&meter.request, &meter.upstream, &meter.gateway];
        sum.iter_mut().zip(all).for_each(|(sum, histogram)| sum.add(histogram));
    }
    let name = Family::Latency.name();
    text.head(name, "histogram", "Time of requests in milliseconds: in all, at the upstream, in the gateway.");
    for ((own, extra), sums) in sums {
        for (kind, sum) in ["request", "upstream", plan.gateway()].into_iter().zip(sums) {
            let count: u64 = sum.counts.iter().sum();
            if count == 0 {
                continue;
            }
            let mut below = 0;
            for (bound, count) in plan.attr.default_buckets.iter().zip(&sum.counts) {
                below += count;
                text.count(name, "_bucket", format_args!("type=\"{kind}\",{own}{extra},le=\"{bound}\""), below);
            }
            text.count(name, "_bucket", format_args!("type=\"{kind}\",{own}{extra},le=\"+Inf\""), count);
            text.count(name, "_count", format_args!("type=\"{kind}\",{own}{extra}"), count);
            text.line(name, "_sum", &format!("type=\"{kind}\",{own}{extra}"), sum.micros as f64 / 1e3);
        }
    }
}

fn bandwidths<'m>(text: &mut Text<'_>, plan: &Plan, meters: impl Iterator<Item = &'m Arc<Meter>>) {
    let mut sums: BTreeMap<Texts, (u64, u64)> = BTreeMap::new();
    for meter in meters {
        let (ingress, egress) = sums.entry(labels(meter, Family::Bandwidth, plan)).or_default();
        *ingress += meter.ingress.load(std::sync::atomic::Ordering::Relaxed);
        *egress += meter.egress.load(std::sync::atomic::Ordering::Relaxed);
    }
    let name = Family::Bandwidth.name();
    text.head(name, "counter", "Bytes of requests and responses.");
    for ((own, extra), (ingress, egress)) in sums {
        text.count(name, "", format_args!("type=\"ingress\",{own}{extra}"), ingress);
        text.count(name, "", format_args!("type=\"egress\",{own}{extra}"), egress);
    }
}

/// What the machine is called; empty where it does not say.
fn hostname() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    told.map(|name| name.trim().to_owned()).unwrap_or_default()
}
