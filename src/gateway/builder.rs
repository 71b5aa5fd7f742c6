//! Composing a gateway in code.
use std::collections::HashMap;
use std::sync::Arc;

use http_body::Body as HttpBody;
use tower::{Layer, Service};

use super::master::Master;
use super::{ApplyError, Gateway};
use crate::body::BoxError;
use crate::error::Request;
use crate::model::{Host, Method, NodeSpec, RouteSpec, Seconds, Settings, Snapshot, Timeouts, UpstreamSpec};
use crate::plugin::{AuthPlugin, Plugin, Registry};
use crate::plugins::serverless::Functions;
use crate::plugins::serverless_post_function::ServerlessPostFunctionPlugin;
use crate::plugins::serverless_pre_function::ServerlessPreFunctionPlugin;
use crate::request::{CustomVars, Getter};
use crate::router::{Predicate, Variables};
#[cfg(feature = "client")]
use crate::upstream::Resolve;
use crate::upstream::balance::BalancerFactory;
use crate::upstream::{Endpoints, UpstreamsBuilder};
use crate::{Next, PluginLayer};

/// A route in code: the same data as a [`RouteSpec`], with tower layers around it.
///
/// Routes in code stay whatever configuration is applied later, and stand before those of a file in the order of ties.
#[derive(Debug)]
pub struct Route {
    pub(crate) spec: RouteSpec,
    pub(crate) layers: Vec<PluginLayer>,
    pub(crate) end: Option<Next>,
}

impl Route {
    /// A route of one path pattern (router.md §3), such as `/v1/*rest` or `/users/:id`.
    pub fn new(pattern: impl Into<Arc<str>>) -> Self {
        Self::from_spec(RouteSpec::new("", pattern))
    }

    /// A route out of plain data. An empty id is replaced by `code-<position>`.
    pub fn from_spec(spec: RouteSpec) -> Self {
        Self { spec, layers: Vec::new(), end: None }
    }

    /// Sets the id.
    #[must_use]
    pub fn id(mut self, id: impl Into<crate::model::Id>) -> Self {
        self.spec.id = id.into();
        self
    }

    /// Adds a host: exact, or with a leading `*`.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.spec.hosts.push(Host::from(host));
        self
    }

    /// Adds a method; without any, all methods match.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.spec.methods.push(method);
        self
    }

    /// Sets the priority among patterns that are equal otherwise. Default 0, higher wins.
    #[must_use]
    pub fn priority(mut self, priority: i64) -> Self {
        self.spec.priority = priority;
        self
    }

    /// Adds a condition over variables (router.md §6), such as `json!([["arg_v", "==", "2"]])`.
    #[must_use]
    pub fn vars(mut self, vars: serde_json::Value) -> Self {
        self.spec.vars = Some(vars);
        self
    }

    /// Whether upgrades such as WebSocket are passed on. Default false.
    #[must_use]
    pub fn websocket(mut self, websocket: bool) -> Self {
        self.spec.enable_websocket = Some(websocket);
        self
    }

    /// Replaces the upstream's time-outs.
    #[must_use]
    pub fn timeout(mut self, connect: impl Into<Seconds>, send: impl Into<Seconds>, read: impl Into<Seconds>) -> Self {
        self.spec.timeout =
            Some(Timeouts { connect: connect.into(), send: send.into(), read: read.into(), total: None });
        self
    }

    /// Puts a tower layer around the route; the first one written stands outermost.
    ///
    /// Any layer whose service is `Clone + Send + Sync` fits, a `ServiceBuilder` stack among them: then the whole stack
    /// is erased once, which is the fastest form. The layers stand just outside the route's Edge stage.
    #[must_use]
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<Next> + Send + Sync + 'static,
        L::Service: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send,
        <L::Service as Service<Request>>::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.layers.push(PluginLayer::new(layer));
        self
    }

    /// Leads to an upstream.
    #[must_use]
    pub fn to(mut self, upstream: UpstreamSpec) -> Self {
        self.spec.upstream = Some(Arc::new(upstream));
        self
    }

    /// Leads to an upstream of these nodes, everything else at its default.
    #[must_use]
    pub fn to_nodes(self, nodes: impl IntoIterator<Item = NodeSpec>) -> Self {
        self.to(UpstreamSpec::of(nodes))
    }

    /// Leads to an upstream of the configuration, by id.
    #[must_use]
    pub fn to_upstream(mut self, id: impl Into<crate::model::Id>) -> Self {
        self.spec.upstream_id = Some(id.into());
        self
    }

    /// Leads straight to a tower service of this program.
    #[must_use]
    pub fn to_service<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.end = Some(Next::new(service));
        self
    }
}

/// Builds a [`Gateway`]. Nothing set gives every limit and strictness of security.md, and every plugin that comes with
/// the crate.
pub struct GatewayBuilder {
    pub(crate) registry: Registry,
    pub(crate) layers: Vec<PluginLayer>,
    pub(crate) routes: Vec<Route>,
    pub(crate) endpoints: Endpoints,
    pub(crate) predicates: HashMap<String, Predicate>,
    pub(crate) custom_vars: CustomVars,
    pub(crate) settings: Settings,
    pub(crate) upstreams: UpstreamsBuilder,
    #[cfg(feature = "client")]
    pub(crate) resolver: Option<Arc<dyn Resolve>>,
}

impl Default for GatewayBuilder {
    fn default() -> Self {
        Self {
            registry: Registry::standard(),
            layers: Vec::new(),
            routes: Vec::new(),
            endpoints: Endpoints::default(),
            predicates: HashMap::new(),
            custom_vars: CustomVars::default(),
            upstreams: UpstreamsBuilder::default(),
            settings: Settings::default(),
            #[cfg(feature = "client")]
            resolver: None,
        }
    }
}

impl std::fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("plugins", &self.registry)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl GatewayBuilder {
    /// Replaces the plugins that configuration may name; [`Registry::standard`] unless this says otherwise.
    #[must_use]
    pub fn plugins(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Adds a plugin that configuration may name.
    #[must_use]
    pub fn plugin<P: Plugin>(mut self, plugin: P) -> Self {
        self.registry.register(plugin);
        self
    }

    /// Adds a plugin that identifies consumers.
    #[must_use]
    pub fn auth_plugin<P: AuthPlugin>(mut self, plugin: P) -> Self {
        self.registry.register_auth(plugin);
        self
    }

    /// Sets the functions that blocks of `serverless-pre-function` and `serverless-post-function` may name, in place of those
    /// that were set before.
    #[must_use]
    pub fn functions(self, functions: Functions) -> Self {
        self.plugin(ServerlessPreFunctionPlugin::new(functions.clone()))
            .plugin(ServerlessPostFunctionPlugin::new(functions))
    }

    /// The plugins so far.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Puts a tower layer around everything, answers without a route included; the first one written stands outermost.
    #[must_use]
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<Next> + Send + Sync + 'static,
        L::Service: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send,
        <L::Service as Service<Request>>::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.layers.push(PluginLayer::new(layer));
        self
    }

    /// Adds a route.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Registers a tower service of this program as an endpoint: a node `{service: name, weight: 1}` of any upstream, in
    /// code or file, leads to it.
    #[must_use]
    pub fn endpoint<S, B>(mut self, name: &str, service: S) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.endpoints = self.endpoints.with(name, service);
        self
    }

    /// Registers a balancing policy, which an upstream names by its `type`; in place of one of that name.
    #[must_use]
    pub fn balancer(mut self, name: &str, factory: impl BalancerFactory) -> Self {
        self.upstreams = self.upstreams.balancer(name, factory);
        self
    }

    /// Registers a predicate that a route's `filter_func` may name. It must not block.
    #[must_use]
    pub fn predicate(mut self, name: &str, holds: impl Fn(&dyn Variables) -> bool + Send + Sync + 'static) -> Self {
        self.predicates.insert(name.to_owned(), Predicate::new(name, holds));
        self
    }

    /// Registers a variable that `vars` and filters may name, computed from the others. It must not block.
    #[must_use]
    pub fn variable(
        mut self,
        name: &str,
        value: impl Fn(&dyn Variables) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let getter: Getter = Arc::new(value);
        self.custom_vars.0.insert(name.to_owned(), getter);
        self
    }

    /// Sets the process settings that hold until a configuration with its own is applied.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Has the names of nodes looked up by `resolver`, in place of the name servers of the settings; how long its answers
    /// hold still is bounded by the settings.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Builds the gateway. Needs no runtime; the first connection does.
    ///
    /// # Errors
    /// Every fault of the routes written in code.
    pub fn build(mut self) -> Result<Gateway, ApplyError> {
        for (position, route) in self.routes.iter_mut().enumerate() {
            if route.spec.id.is_empty() {
                route.spec.id = format!("code-{}", position + 1).into();
            }
            if let Some(end) = route.end.take() {
                let name = format!("route {}", route.spec.id);
                self.endpoints = self.endpoints.with(&*name, end);
                route.spec.upstream = Some(Arc::new(UpstreamSpec::of([NodeSpec::service(name)])));
            }
        }
        let first = Snapshot { settings: Arc::new(self.settings.clone()), ..Snapshot::default() };
        Master::start(self, first)
    }
}
