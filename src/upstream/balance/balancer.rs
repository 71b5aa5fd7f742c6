//! The contract of a balancing policy.
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;

use super::{HashKey, Load};
use crate::upstream::state::EndpointState;

/// What a policy is told about an endpoint when it is built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Stable name: `host:port`, or `service name`. The addresses of a name that has several all have that name.
    pub name: Arc<str>,
    /// What makes it one among others of the same name: its address, if it was found by its name.
    pub address: Option<IpAddr>,
    /// Its share; 0 = none, unless all of the group have 0.
    pub weight: u32,
    /// What it is busy with, if the balancer [counts load](Balancer::counts_load).
    pub load: Arc<Load>,
}

impl Member {
    /// A member that does nothing yet.
    pub fn new(name: impl Into<Arc<str>>, weight: u32) -> Self {
        Self { name: name.into(), address: None, weight, load: Arc::default() }
    }

    /// Whether nothing that a balancer is told differs.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.weight == other.weight && Arc::ptr_eq(&self.load, &other.load)
    }
}

/// What else a policy is told when it is built.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Policy {
    /// What is hashed of a request, for policies that hash.
    pub hash: Option<HashKey>,
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
    /// Those that may be unusable; empty if all are usable.
    states: &'a [Arc<EndpointState>],
}

impl<'a> Pick<'a> {
    /// A question about `request`, to be answered with a member that is not in `tried`.
    pub fn new(request: &'a Parts, client: Option<IpAddr>, tried: &'a [usize]) -> Self {
        Self { request, client, tried, states: &[] }
    }

    /// With what is known of the members' health.
    pub(crate) fn among(self, states: &'a [Arc<EndpointState>]) -> Self {
        Self { states, ..self }
    }

    /// Whether the request has failed at other members before.
    pub fn is_retry(&self) -> bool {
        !self.tried.is_empty()
    }

    /// Whether member `index` may be the answer.
    pub fn is_usable(&self, index: usize) -> bool {
        !self.tried.contains(&index) && self.states.get(index).is_none_or(|state| state.is_usable())
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

    /// Whether it looks at what members are [busy with](Member::load). Only then that is counted. Default: no.
    fn counts_load(&self) -> bool {
        false
    }

    /// Whether it looks at how long members [take](Load::latency), beside what they are busy with. Default: no.
    fn heeds_latency(&self) -> bool {
        false
    }
}

/// Makes balancers of one policy. The members are one or more of one priority, in the order of the configuration.
///
/// It is asked again only when a member, its weight or its health changed; otherwise the balancer stays, with its state.
pub trait BalancerFactory: Send + Sync + 'static {
    /// A balancer over `members`.
    fn build(&self, members: &[Member], policy: &Policy) -> Arc<dyn Balancer>;

    /// Whether members that are not healthy are among those given to `build`, so that the balancer has to leave them out
    /// by [`Pick::is_usable`]; and whether weights stay what they are during a [slow start](super::SlowStart). Default: no,
    /// and a balancer is built anew when the health of one changes.
    fn keeps_unusable(&self) -> bool {
        false
    }
}

impl<F> BalancerFactory for F
where
    F: Fn(&[Member], &Policy) -> Arc<dyn Balancer> + Send + Sync + 'static,
{
    fn build(&self, members: &[Member], policy: &Policy) -> Arc<dyn Balancer> {
        self(members, policy)
    }
}
