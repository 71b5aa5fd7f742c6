//! A member that has just come gets its share step by step.
use std::time::Duration;

/// Steps in which the share grows. Each is a new layout of the balancer, so they are few.
const STEPS: u32 = 20;

/// No step is shorter.
const SHORTEST_STEP: Duration = Duration::from_millis(250);

/// How an endpoint that was added, or has become healthy again, gets its share of requests: a cold cache or a runtime that
/// still compiles must not be met by all of it at once.
///
/// The policies that go by weights heed it: `roundrobin` and `least_conn`. `chash` does not, where a key belongs must not move with time; `ewma`
/// does not go by weights, and meets a slow newcomer by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// How long until the share is whole; above zero.
    pub window: Duration,
    /// The share to begin with, 1–100 % of the weight. Default 10.
    pub min_weight_percent: u8,
    /// How the share grows: (age / window)^(1 / aggression). 1 (the default) is a straight line, more is faster at first,
    /// less is slower. Above zero.
    pub aggression: f32,
}

impl SlowStart {
    /// In a straight line from 10 % over `window`.
    pub fn new(window: Duration) -> Self {
        Self { window, min_weight_percent: 10, aggression: 1.0 }
    }

    /// How much of its weight an endpoint of this age has, in percent.
    pub fn percent(&self, age: Duration) -> u32 {
        if age >= self.window {
            return 100;
        }
        let part = age.as_secs_f32() / self.window.as_secs_f32();
        let percent = (100.0 * part.powf(1.0 / self.aggression)) as u32;
        percent.clamp(u32::from(self.min_weight_percent.min(100)), 100)
    }

    /// How long until an endpoint of this age gets more, if it still does.
    pub fn next_step(&self, age: Duration) -> Option<Duration> {
        let left = self.window.checked_sub(age).filter(|left| !left.is_zero())?;
        Some((self.window / STEPS).max(SHORTEST_STEP).min(left))
    }
}

/// Weights of which each member has so many percent. Unchanged if all have the same.
pub(crate) fn scaled(weights: &[(u32, u32)]) -> Vec<u32> {
    let mut percents = weights.iter().map(|(_, percent)| *percent);
    let first = percents.next().unwrap_or(100);
    if percents.all(|percent| percent == first) {
        return weights.iter().map(|(weight, _)| *weight).collect();
    }
    let scaled = |&(weight, percent): &(u32, u32)| u64::from(weight) * u64::from(percent);
    let most = weights.iter().map(scaled).max().unwrap_or(0);
    // Down to what a weight can be; who has one keeps one.
    let divisor = most.div_ceil(u64::from(u32::MAX)).max(1);
    let fit = |scaled: u64| u32::try_from(scaled / divisor).unwrap_or(u32::MAX).max(u32::from(scaled > 0));
    weights.iter().map(|weight| fit(scaled(weight))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_start(aggression: f32) -> SlowStart {
        SlowStart { aggression, ..SlowStart::new(Duration::from_secs(10)) }
    }

    #[test]
    fn the_share_grows_to_the_whole() {
        for (aggression, seconds, percent) in
            [(1.0, 0, 10), (1.0, 1, 10), (1.0, 5, 50), (1.0, 10, 100), (1.0, 99, 100), (2.0, 1, 31), (0.5, 5, 25)]
        {
            assert_eq!(slow_start(aggression).percent(Duration::from_secs(seconds)), percent, "{aggression} {seconds}");
        }
    }

    #[test]
    fn steps_end_with_the_window() {
        let (slow_start, mut age, mut steps) = (slow_start(1.0), Duration::ZERO, 0);
        while let Some(step) = slow_start.next_step(age) {
            (age, steps) = (age + step, steps + 1);
        }
        assert_eq!((age, steps), (Duration::from_secs(10), STEPS));
        let short = SlowStart::new(Duration::from_millis(300));
        assert_eq!(short.next_step(Duration::ZERO), Some(SHORTEST_STEP));
        assert_eq!(short.next_step(SHORTEST_STEP), Some(Duration::from_millis(50)));
    }

    #[test]
    fn weights_are_scaled_only_against_each_other() {
        assert_eq!(scaled(&[(3, 10), (2, 10)]), [3, 2]);
        assert_eq!(scaled(&[(3, 100), (2, 10), (0, 10)]), [300, 20, 0]);
        assert_eq!(scaled(&[(u32::MAX, 100), (1, 10)]), [u32::MAX, 1]);
        assert!(scaled(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn a_share_never_shrinks(aggression in 0.1_f32..10.0, a in 0_u64..20_000, b in 0_u64..20_000) {
            let percent = |milliseconds| slow_start(aggression).percent(Duration::from_millis(milliseconds));
            prop_assert!(percent(a.min(b)) <= percent(a.max(b)));
            prop_assert!((10..=100).contains(&percent(a)));
        }
    }
}
