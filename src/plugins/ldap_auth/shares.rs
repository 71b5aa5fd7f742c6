//! What one client may have of a directory's places. Nothing is known of a name before the directory has been asked about it: who
//! can log in nowhere must not keep out those who can.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Log-ins of each client, under way and waiting.
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One log-in of a client, until it is over; of a client that is not known, nothing is counted.
#[derive(Debug)]
pub(super) struct Share<'s> {
    shares: &'s Shares,
    client: Option<IpAddr>,
}

impl Shares {
    pub(super) fn of(most: usize) -> Self {
        Self { most, taken: Mutex::default() }
    }

    /// One more; `None` where the client has all that one may have.
    pub(super) fn take(&self, client: Option<IpAddr>) -> Option<Share<'_>> {
        let client = client.map(network);
        if let Some(client) = client {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = taken.entry(client).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Share { shares: self, client })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut taken = self.shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&client);
            }
        }
    }
}

/// What a client can choose addresses from: of IPv6 it is given 64 bits at least.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_gives_it_back() {
        let shares = Shares::of(2);
        let take = |client: &str| shares.take(Some(client.parse().unwrap()));
        let mut held = vec![take("10.0.0.1").unwrap(), take("::ffff:10.0.0.1").unwrap()];
        assert!(take("10.0.0.1").is_none());
        held.extend(
            [take("10.0.0.2"), take("2001:db8::1"), take("2001:db8::2"), take("2001:db8:0:1::1")].map(Option::unwrap),
        );
        assert!(take("2001:db8::3").is_none(), "one network is one client");
        assert!((0..9).all(|_| shares.take(None).is_some()));
        held.remove(0);
        assert!(take("10.0.0.1").is_some());
        held.clear();
        assert!(shares.taken.lock().unwrap().is_empty());
    }
}
