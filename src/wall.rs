//! The wall clock, which tests turn.
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

/// What time it is, for whatever goes by dates: when a certificate is renewed, until when an answer holds.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// # use tollgate::acme::Clock;
///
/// let clock = Clock::manual(SystemTime::UNIX_EPOCH);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(60));
/// ```
#[derive(Clone, Default)]
pub struct Clock(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    System,
    Manual(Arc<watch::Sender<SystemTime>>),
}

impl Clock {
    /// The longest sleep before the system's clock is looked at again: it may be set, and does not go while a machine
    /// is suspended.
    const LOOK: Duration = Duration::from_secs(30);

    /// The system's clock; also the default.
    pub const fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands at `now` until it is advanced. A clone is the same clock.
    pub fn manual(now: SystemTime) -> Self {
        Self(Kind::Manual(Arc::new(watch::Sender::new(now))))
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Kind::System => SystemTime::now(),
            Kind::Manual(time) => *time.borrow(),
        }
    }

    /// Turns a manual clock on, and wakes whoever waits for what is over by then. The system's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(time) = &self.0 {
            time.send_modify(|now| *now += by);
        }
    }

    /// Ends when it is `time`.
    pub(crate) async fn until(&self, time: SystemTime) {
        match &self.0 {
            Kind::System => {
                while let Ok(left) = time.duration_since(SystemTime::now()) {
                    if left.is_zero() {
                        return;
                    }
                    tokio::time::sleep(left.min(Self::LOOK)).await;
                }
            }
            Kind::Manual(now) => {
                // The sender lives as long as this clock does.
                _ = now.subscribe().wait_for(|now| *now >= time).await;
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::System => "Clock::System",
            Kind::Manual(_) => "Clock::Manual",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_goes_when_it_is_turned() {
        let start = SystemTime::now();
        let clock = Clock::manual(start);
        clock.until(start).await;
        let (second, turned) = (Duration::from_secs(1), clock.clone());
        let waiting = tokio::spawn(async move { turned.until(start + 2 * second).await });
        clock.advance(second);
        assert!(!waiting.is_finished());
        clock.advance(second);
        waiting.await.unwrap();
        assert_eq!(clock.now(), start + 2 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_not_waited_for() {
        Clock::system().until(SystemTime::UNIX_EPOCH).await;
    }
}
