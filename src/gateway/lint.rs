//! What the router would say of a configuration that is not in force.
use std::collections::HashMap;
use std::sync::Arc;

use super::Gateway;
use super::settings::Rules;
use crate::model::{Host, RouteSpec, Snapshot, Status};
use crate::router::{Expr, Lint, Predicate, Router, Rule};

impl Gateway {
    /// Routes of a snapshot that could never win, and patterns that seldom mean what they say: what
    /// [`Gateway::lint`] would find if it were in force. Routes that could not be put into force are left out. Costs as much
    /// as building a router of all routes.
    pub fn lint_of(&self, snapshot: &Snapshot) -> Vec<Lint> {
        let services =
            snapshot.services.iter().map(|service| (service.id.as_str(), service.hosts.as_slice())).collect();
        let routes = snapshot.routes.iter().zip(0..).filter(|(route, _)| route.status == Status::Enabled);
        let rules = routes.filter_map(|(route, order)| rule(route, order, &services));
        Router::from_rules(Rules::new(&snapshot.settings).router, rules).0.lint()
    }
}

fn rule(route: &RouteSpec, order: u64, services: &HashMap<&str, &[Host]>) -> Option<Rule<()>> {
    let mut hosts: Vec<Arc<str>> = route.own_hosts().map(Host::to_shared).collect();
    if hosts.is_empty() {
        let inherited = route.service_id.as_ref().and_then(|id| services.get(id.as_str())).copied();
        hosts = inherited.unwrap_or_default().iter().map(Host::to_shared).collect();
    }
    Some(Rule {
        id: route.id.to_shared(),
        order,
        uris: route.uri.iter().chain(&route.uris).cloned().collect(),
        hosts,
        methods: route.methods.iter().filter_map(|method| method.as_str().parse().ok()).collect(),
        remote_addrs: route.clients().map(|client| client.network()).collect(),
        vars: route.vars.as_ref().map(Expr::compile).transpose().ok()?,
        // Whatever it asks: that there is one counts.
        predicate: route.filter_func.as_ref().map(|name| Predicate::new(name.as_str(), |_| true)),
        priority: route.priority,
        value: (),
    })
}
