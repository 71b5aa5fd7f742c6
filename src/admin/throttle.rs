//! [`Throttle`]: failed credentials are counted by client (security.md ADM-05).
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures that a client may have at once.
const BURST: u32 = 10;
/// After this long one more.
const REFILL: Duration = Duration::from_secs(6);
/// Clients that are remembered. The one whose last failure is longest ago gives way.
const CLIENTS: usize = 4096;

/// What clients have left of their failures. A client with none left is refused whatever key it shows, as it might be
/// the next guess that is right.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<Option<IpAddr>, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    /// As of `at`.
    count: u32,
    at: Instant,
}

impl Failures {
    /// Those that are not forgiven yet, and since when.
    fn as_of(self, now: Instant) -> Self {
        let forgiven = (now - self.at).as_millis() / REFILL.as_millis();
        let count = self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        let spent = REFILL.checked_mul(u32::try_from(forgiven).unwrap_or(u32::MAX)).unwrap_or(Duration::MAX);
        Self { count, at: self.at.checked_add(spent).unwrap_or(now) }
    }
}

impl Throttle {
    /// How many seconds a client has to wait before it is listened to, if it has to.
    pub(super) fn wait(&self, client: Option<IpAddr>) -> Option<u64> {
        let now = Instant::now();
        let failures = self.lock().get(&network(client))?.as_of(now);
        let left = (failures.at + REFILL).saturating_duration_since(now);
        (failures.count >= BURST).then(|| left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }

    /// Notes a failure.
    pub(super) fn failed(&self, client: Option<IpAddr>) {
        let now = Instant::now();
        let client = network(client);
        let mut clients = self.lock();
        if clients.len() >= CLIENTS && !clients.contains_key(&client) {
            clients.retain(|_, failures| failures.as_of(now).count > 0);
            if clients.len() >= CLIENTS
                && let Some(oldest) = clients.iter().min_by_key(|(_, failures)| failures.at).map(|(client, _)| *client)
            {
                clients.remove(&oldest);
            }
        }
        let failures = clients.entry(client).or_insert(Failures { count: 0, at: now });
        *failures = failures.as_of(now);
        if failures.count == 0 {
            failures.at = now;
        }
        failures.count = failures.count.saturating_add(1).min(BURST);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Failures>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client may have all addresses of a /64.
fn network(client: Option<IpAddr>) -> Option<IpAddr> {
    client.map(|address| match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn ten_failures_and_then_one_in_six_seconds() {
        let throttle = Throttle::default();
        let mallory = client("10.0.0.9");
        for count in 0..10 {
            assert_eq!(throttle.wait(mallory), None, "{count}");
            throttle.failed(mallory);
        }
        assert_eq!(throttle.wait(mallory), Some(6));
        assert_eq!(throttle.wait(client("10.0.0.8")), None, "others are listened to");
        assert_eq!(throttle.wait(None), None);
        tokio::time::advance(Duration::from_millis(5500)).await;
        assert_eq!(throttle.wait(mallory), Some(1));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(throttle.wait(mallory), None);
        throttle.failed(mallory);
        assert_eq!(throttle.wait(mallory), Some(6));
        tokio::time::advance(Duration::from_secs(3600)).await;
        for _ in 0..9 {
            throttle.failed(mallory);
        }
        assert_eq!(throttle.wait(mallory), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_ipv6_is_one_client() {
        let throttle = Throttle::default();
        for host in 0..10 {
            throttle.failed(client(&format!("2001:db8::{host}")));
        }
        assert!(throttle.wait(client("2001:db8::ffff")).is_some());
        assert!(throttle.wait(client("2001:db8:0:1::1")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..10_000_u32 {
            throttle.failed(Some(IpAddr::from(number.to_be_bytes())));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(throttle.lock().len(), CLIENTS);
    }
}
