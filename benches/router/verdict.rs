//! Interleaved rounds, and the table that says which figures are met.
use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Rounds of a comparison. Each has one slice of each side.
const ROUNDS: usize = 31;
/// A slice lasts about this long.
const SLICE: Duration = Duration::from_millis(4);

/// A value with its 95 % interval.
#[derive(Clone, Copy)]
pub struct Figure {
    median: f64,
    low: f64,
    high: f64,
}

impl Figure {
    /// The median, and the interval that order statistics give it: nothing is assumed about the noise.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let half = 0.98 * (count as f64).sqrt();
        let low = (count as f64 / 2.0 - half).floor().max(1.0) as usize - 1;
        Self { median: values[count / 2], low: values[low], high: values[count - 1 - low] }
    }
}

impl Figure {
    /// One figure out of the medians of several.
    pub fn all(figures: Vec<Self>) -> Self {
        Self::of(figures.into_iter().map(|figure| figure.median).collect())
    }
}

/// One line of the table.
struct Line {
    name: String,
    detail: String,
    figure: Figure,
    limit: Option<f64>,
    unit: &'static str,
}

#[derive(Default)]
pub struct Table(Vec<Line>);

impl Table {
    /// Compares the time that one call of each side takes, over the same requests.
    pub fn compare<Q, R>(
        &mut self,
        name: impl Into<String>,
        limit: Option<f64>,
        (queries, others): (&[Q], &[Q]),
        ours: impl Fn(&Q) -> R,
        theirs: impl Fn(&Q) -> R,
    ) {
        let laps = (laps(queries, &ours), laps(others, &theirs));
        let (mut own, mut other, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (one, two) = (slice(queries, &ours, laps.0), slice(others, &theirs, laps.1));
            own.push(one);
            other.push(two);
            ratios.push(one / two);
        }
        let detail = format!("{:.0} ns / {:.0} ns", Figure::of(own).median, Figure::of(other).median);
        self.add(name, detail, Figure::of(ratios), limit, "x");
    }

    pub fn add(
        &mut self,
        name: impl Into<String>,
        detail: impl Into<String>,
        figure: Figure,
        limit: Option<f64>,
        unit: &'static str,
    ) {
        let line = Line { name: name.into(), detail: detail.into(), figure, limit, unit };
        println!("{}", line.cells().join(" | "));
        self.0.push(line);
    }

    /// Prints all lines.
    pub fn print(&self) {
        println!("\n| figure | measured | value | 95 % interval | limit | verdict |\n|---|---|---|---|---|---|");
        for line in &self.0 {
            println!("| {} |", line.cells().join(" | "));
        }
    }
}

impl Line {
    fn cells(&self) -> [String; 6] {
        let Self { name, detail, figure, limit, unit } = self;
        let (limit, verdict) = match limit {
            None => (String::new(), ""),
            Some(limit) if figure.median <= *limit => (format!("{limit} {unit}"), "pass"),
            Some(limit) if figure.low <= *limit => (format!("{limit} {unit}"), "pass (interval)"),
            Some(limit) => (format!("{limit} {unit}"), "MISS"),
        };
        let interval = format!("{:.2} – {:.2}", figure.low, figure.high);
        [name.clone(), detail.clone(), format!("{:.2} {unit}", figure.median), interval, limit, verdict.to_owned()]
    }
}

/// How often all queries are asked in one slice. Also warms up.
fn laps<Q, R>(queries: &[Q], ask: &impl Fn(&Q) -> R) -> u32 {
    let start = Instant::now();
    let mut laps = 0;
    while start.elapsed() < 2 * SLICE {
        for query in queries {
            black_box(ask(query));
        }
        laps += 1;
    }
    (laps / 2).max(1)
}

/// Nanoseconds of one call.
fn slice<Q, R>(queries: &[Q], ask: &impl Fn(&Q) -> R, laps: u32) -> f64 {
    let start = processor_time();
    for _ in 0..laps {
        for query in black_box(queries) {
            black_box(ask(query));
        }
    }
    (processor_time() - start).as_nanos() as f64 / (f64::from(laps) * queries.len() as f64)
}

/// Time of the processor that this thread has had. Unlike the time on the wall it leaves out when others run.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Milliseconds of processor time that `work` takes, several times; what it makes is dropped outside of the clock.
pub fn milliseconds<R>(times: usize, mut work: impl FnMut() -> R) -> Figure {
    let once = |_| {
        let start = processor_time();
        let made = work();
        let time = processor_time() - start;
        drop(black_box(made));
        time.as_secs_f64() * 1e3
    };
    Figure::of((0..times).map(once).collect())
}
