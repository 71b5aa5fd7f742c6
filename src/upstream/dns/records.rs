//! From records to locations. Everything here is pure.
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record};

use super::super::names::{Location, Resolved};

/// How long it holds that a name does not exist, when the answer does not say.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// The lowest common multiple of targets' numbers of addresses is exact up to here.
const MOST_PARTS: u32 = 1 << 16;

/// The addresses of one name, in one family or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    /// None: there are none, for certain.
    pub(super) found: Vec<IpAddr>,
    /// How long that holds.
    pub(super) ttl: Duration,
}

impl Addresses {
    /// Both families of one name, IPv4 first.
    ///
    /// # Errors
    /// If IPv4 could not be looked up: going by half of the answer would take the other half out of use. IPv6 that could
    /// not be is forgiven if there is IPv4, as there are servers that never answer for it.
    pub(super) fn of_both(v4: io::Result<Self>, v6: io::Result<Self>) -> io::Result<Self> {
        let v4 = v4?;
        let v6 = match v6 {
            Ok(v6) => v6,
            Err(_) if !v4.found.is_empty() => return Ok(v4),
            Err(error) => return Err(error),
        };
        Ok(match (v4.found.is_empty(), v6.found.is_empty()) {
            (false, true) => v4,
            (true, false) => v6,
            _ => Self { found: [v4.found, v6.found].concat(), ttl: v4.ttl.min(v6.ttl) },
        })
    }
}

/// What the answer says about addresses.
pub(super) fn addresses(answer: Result<Lookup, NetError>) -> io::Result<Addresses> {
    match answer {
        Ok(lookup) => Ok(Addresses {
            found: lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect(),
            ttl: ttl(lookup.answers()),
        }),
        Err(error) => Ok(Addresses { found: Vec::new(), ttl: negative(error)? }),
    }
}

/// One record of a service name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) target: Name,
    pub(super) port: u16,
    pub(super) weight: u16,
    pub(super) priority: u16,
}

/// What the answer says about services. A target of `.` means that there is none (RFC 2782).
pub(super) fn services(answer: Result<Lookup, NetError>) -> io::Result<(Vec<Service>, Duration)> {
    let lookup = match answer {
        Ok(lookup) => lookup,
        Err(error) => return Ok((Vec::new(), negative(error)?)),
    };
    let services = lookup.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) if !srv.target.is_root() => Some(Service {
            target: srv.target.to_lowercase(),
            port: srv.port,
            weight: srv.weight,
            priority: srv.priority,
        }),
        _ => None,
    });
    Ok((services.collect(), ttl(lookup.answers())))
}

/// Puts services and the addresses of their targets together. `None` in `targets`: could not be looked up.
pub(super) fn locations(
    services: &[Service],
    mut holds: Duration,
    targets: &BTreeMap<Name, Option<Addresses>>,
) -> Resolved {
    let addresses = |service: &Service| targets.get(&service.target).and_then(Option::as_ref);
    let counts = services.iter().filter_map(addresses).map(|addresses| addresses.found.len());
    let parts = common_multiple(counts.filter_map(|count| u32::try_from(count).ok()));
    let (mut locations, mut unknown) = (Vec::new(), Vec::new());
    for service in services {
        let name: Arc<str> = service.target.to_ascii().trim_end_matches('.').into();
        let Some(addresses) = addresses(service) else {
            if !unknown.contains(&name) {
                unknown.push(name);
            }
            continue;
        };
        holds = holds.min(addresses.ttl);
        let count = u32::try_from(addresses.found.len()).unwrap_or(u32::MAX);
        for address in &addresses.found {
            locations.push(Location {
                port: (service.port != 0).then_some(service.port),
                // At most 65,535 × 65,536, so it fits.
                weight: share(u32::from(service.weight), parts, count),
                priority: service.priority,
                host: Some(Arc::clone(&name)),
                ..Location::new(*address)
            });
        }
    }
    Resolved { unknown, ..Resolved::new(locations, holds) }
}

/// A record's weight, shared out among the addresses of its target; only nothing becomes nothing.
fn share(weight: u32, parts: u32, count: u32) -> u32 {
    (weight.saturating_mul(parts) / count.max(1)).max(weight.min(1))
}

/// The lowest common multiple, up to [`MOST_PARTS`].
fn common_multiple(counts: impl Iterator<Item = u32>) -> u32 {
    let gcd = |mut a: u32, mut b: u32| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let counts = counts.filter(|count| *count > 0);
    counts.fold(1, |parts: u32, count| (parts / gcd(parts, count)).saturating_mul(count).min(MOST_PARTS))
}

/// The shortest time of any record on the way, aliases included.
fn ttl(records: &[Record]) -> Duration {
    let shortest = records.iter().map(|record| record.ttl).min();
    shortest.map_or(NEGATIVE_TTL, |seconds| Duration::from_secs(seconds.into()))
}

/// How long it holds that there is nothing.
///
/// # Errors
/// If that is not what was said: the look-up failed.
fn negative(error: NetError) -> io::Result<Duration> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            Ok(none.negative_ttl.map_or(NEGATIVE_TTL, |seconds| Duration::from_secs(seconds.into())))
        }
        NetError::Timeout => Err(io::Error::new(io::ErrorKind::TimedOut, "the name server did not answer in time")),
        other => Err(io::Error::other(other)),
    }
}
