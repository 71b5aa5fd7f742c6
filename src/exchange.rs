//! What becomes of a request, for layers that log or measure.
use std::fmt;
use std::net::{IpAddr, SocketAddr};
#[cfg(feature = "prometheus")]
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

/// What logs are not to show of a request.
pub trait Mask: fmt::Debug + Send + Sync {
    /// The query as logs show it, without `?`; `None` when it stays as it is.
    fn query(&self, query: &str) -> Option<String>;
    /// A field as logs show it; the inner `None` when they don't show it at all, the outer one when it stays as it is.
    fn field(&self, name: &HeaderName, value: &HeaderValue) -> Option<Option<HeaderValue>>;
}

/// Request extension of a layer that wants to know what the gateway did with the request: the layer puts one in and
/// keeps a clone, the gateway writes into it. Where no layer does so, nothing is recorded.
///
/// Unlike an extension of the response, it also tells of exchanges that end without one, because the client went away.
#[derive(Clone, Debug, Default)]
pub struct Exchange(Arc<Record>);

#[derive(Debug, Default)]
struct Record {
    route: OnceLock<Arc<str>>,
    attempts: OnceLock<Link>,
    client: Mutex<Option<IpAddr>>,
    consumer: Mutex<Option<Arc<str>>>,
    wants_rate_limit: bool,
    rate_limit: Mutex<Option<RateLimit>>,
    policies: Mutex<Vec<String>>,
    masks: Mutex<Vec<Arc<dyn Mask>>>,
    #[cfg(feature = "prometheus")]
    measured_by: AtomicU32,
}

/// How a request stood against a limit: the variable `rate_limiting_info`, as JSON text by `Display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What named the counter.
    pub key: String,
    /// Requests in a window.
    pub limit: u64,
    /// How many more may come.
    pub remaining: u64,
    /// Milliseconds until the window ends.
    pub reset: u64,
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::json!({
            "rate_limiting_key": self.key,
            "rate_limiting_limit": self.limit,
            "rate_limiting_remaining": self.remaining,
            "rate_limiting_reset": (self.reset / 10) as f64 / 100.0,
        });
        text.fmt(f)
    }
}

/// An attempt and those after it. Most requests have one, which then needs no allocation.
#[derive(Debug)]
struct Link {
    attempt: Attempt,
    next: OnceLock<Box<Link>>,
}

/// What became of one attempt, for logs (`upstream_addr`, `upstream_status`, `upstream_response_time`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The endpoint: `host:port`, or `service name`.
    pub endpoint: Arc<str>,
    /// The address of the connection, when there was one.
    pub address: Option<SocketAddr>,
    /// The endpoint's status; `None` when there was no response.
    pub status: Option<StatusCode>,
    /// The failure's reason, such as `connect_refused`; `None` with a response.
    pub reason: Option<&'static str>,
    /// From the choice of the endpoint to the end of the response head, or to the failure.
    pub took: Duration,
}

impl Attempt {
    /// An attempt at an endpoint, of which nothing else is known.
    pub fn new(endpoint: impl Into<Arc<str>>) -> Self {
        Self { endpoint: endpoint.into(), address: None, status: None, reason: None, took: Duration::ZERO }
    }
}

impl Exchange {
    /// An exchange of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Exchange::new`], and asks limiters to record how the request stood, which costs them memory for the key.
    pub fn wanting_rate_limit() -> Self {
        Self(Arc::new(Record { wants_rate_limit: true, ..Record::default() }))
    }

    /// Whether the layer asked for [`Exchange::rate_limit`].
    pub fn wants_rate_limit(&self) -> bool {
        self.0.wants_rate_limit
    }

    /// How the request stood against the limit that was asked last.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.0.rate_limit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records how the request stood against a limit. The last one counts.
    pub fn set_rate_limit(&self, told: RateLimit) {
        *self.0.rate_limit.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    /// The id of the route that matched.
    pub fn route(&self) -> Option<&Arc<str>> {
        self.0.route.get()
    }

    /// The endpoints that were tried, in order.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        let links = std::iter::successors(self.0.attempts.get(), |link| link.next.get().map(|next| &**next));
        links.map(|link| &link.attempt)
    }

    /// The addresses of the endpoints that were tried, in order and separated by `, `; an endpoint of this process is
    /// `service NAME`, one whose address was not known yet `HOST:PORT`. `None` when none was tried.
    pub fn upstream(&self) -> Option<String> {
        let address = |attempt: &Attempt| match attempt.address {
            Some(address) => address.to_string(),
            None => attempt.endpoint.to_string(),
        };
        let all: Vec<_> = self.attempts().map(address).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The client that was found out behind the peer, by trusted proxies or a layer; of several the last one. `None` where
    /// the peer is the client.
    pub fn client(&self) -> Option<IpAddr> {
        *self.0.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the client behind the peer. The last one counts.
    pub fn set_client(&self, address: IpAddr) {
        *self.0.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// The name of the consumer that was identified; of several the last one.
    pub fn consumer(&self) -> Option<Arc<str>> {
        self.0.consumer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records the consumer. The last one counts.
    pub fn set_consumer(&self, name: Arc<str>) {
        *self.0.consumer.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
    }

    /// The names of the policies that decided about the request, as the last layer told that asked policies; none where none did.
    pub fn policies(&self) -> Vec<String> {
        self.0.policies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records which policies decided. The last ones count.
    pub fn set_policies(&self, names: Vec<String>) {
        *self.0.policies.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Has logs show less of the request, beside what they don't show already.
    pub fn add_mask(&self, mask: Arc<dyn Mask>) {
        self.0.masks.lock().unwrap_or_else(PoisonError::into_inner).push(mask);
    }

    /// The target of the request as logs show it.
    pub fn masked_target(&self, target: &str) -> String {
        let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
        let masks = self.0.masks.lock().unwrap_or_else(PoisonError::into_inner);
        let query = masks.iter().fold(query.to_owned(), |query, mask| mask.query(&query).unwrap_or(query));
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// A field of the request as logs show it; `None` when they don't.
    pub fn masked_field(&self, name: &HeaderName, value: HeaderValue) -> Option<HeaderValue> {
        let masks = self.0.masks.lock().unwrap_or_else(PoisonError::into_inner);
        masks.iter().try_fold(value, |value, mask| mask.field(name, &value).unwrap_or(Some(value)))
    }

    /// Records the route. The first one stays.
    pub fn set_route(&self, id: Arc<str>) {
        let _ = self.0.route.set(id);
    }

    /// Takes the measuring over from layers further out, which see by [`Exchange::measured_by`] that they are not to count
    /// the request as well.
    #[cfg(feature = "prometheus")]
    pub(crate) fn measure(&self) -> u32 {
        self.0.measured_by.fetch_add(1, Relaxed) + 1
    }

    /// The layer that measures, as [`Exchange::measure`] told it.
    #[cfg(feature = "prometheus")]
    pub(crate) fn measured_by(&self) -> u32 {
        self.0.measured_by.load(Relaxed)
    }

    /// Records an attempt, behind those before it.
    pub fn add_attempt(&self, attempt: Attempt) {
        let mut link = Link { attempt, next: OnceLock::new() };
        let Err(refused) = self.0.attempts.set(link) else { return };
        link = refused;
        let mut at = self.0.attempts.get();
        while let Some(last) = at {
            match last.next.set(Box::new(link)) {
                Ok(()) => return,
                Err(refused) => link = *refused,
            }
            at = last.next.get().map(|next| &**next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_kept_in_order() {
        let exchange = Exchange::new();
        assert_eq!((exchange.upstream(), exchange.attempts().count()), (None, 0));
        exchange.add_attempt(Attempt::new("a:1"));
        exchange.add_attempt(Attempt { address: Some(([10, 0, 0, 2], 80).into()), ..Attempt::new("b:80") });
        exchange.add_attempt(Attempt::new("service c"));
        assert_eq!(exchange.upstream().unwrap(), "a:1, 10.0.0.2:80, service c");
    }
}
