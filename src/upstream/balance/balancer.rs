//! The contract of a balancing policy.
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;

/// What a policy is told about an endpoint when it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Stable name: `host:port`, or `service name`.
    pub name: Arc<str>,
    /// Its share; 0 = none, unless all of the group have 0.
    pub weight: u32,
}

impl Member {
    /// A member.
    pub fn new(name: impl Into<Arc<str>>, weight: u32) -> Self {
        Self { name: name.into(), weight }
    }
}

/// One question to a balancer.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Pick<'a> {
    /// The request's head.
    pub request: &'a Parts,
    /// The client's address, when it is known.
    pub client: Option<IpAddr>,
    tried: &'a [usize],
}

impl<'a> Pick<'a> {
    /// A question about `request`, to be answered with a member that is not in `tried`.
    pub fn new(request: &'a Parts, client: Option<IpAddr>, tried: &'a [usize]) -> Self {
        Self { request, client, tried }
    }

    /// Whether the request has failed at other members before.
    pub fn is_retry(&self) -> bool {
        !self.tried.is_empty()
    }

    /// Whether member `index` may be the answer.
    pub fn is_usable(&self, index: usize) -> bool {
        !self.tried.contains(&index)
    }
}

impl fmt::Debug for Pick<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pick").field("client", &self.client).field("tried", &self.tried).finish_non_exhaustive()
    }
}

/// A balancing policy over the members of one group. It is asked on every request, from many threads at once, and must
/// not wait.
pub trait Balancer: Send + Sync + 'static {
    /// The index of the member to use, in the order the factory was given them; `None` if none
    /// [is usable](Pick::is_usable).
    fn pick(&self, pick: &Pick<'_>) -> Option<usize>;
}

/// Makes balancers of one policy. The members are at least two, in the order of the configuration.
///
/// A reload asks again only when a member or a weight changed; otherwise the balancer stays, with its state.
pub trait BalancerFactory: Send + Sync + 'static {
    /// A balancer over `members`.
    fn build(&self, members: &[Member]) -> Arc<dyn Balancer>;
}

impl<F> BalancerFactory for F
where
    F: Fn(&[Member]) -> Arc<dyn Balancer> + Send + Sync + 'static,
{
    fn build(&self, members: &[Member]) -> Arc<dyn Balancer> {
        self(members)
    }
}
