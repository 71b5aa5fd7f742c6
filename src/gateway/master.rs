//! [`Master`]: the configuration in force in full, which the next one is compared with.
use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use super::blocks::Blocks;
use super::builder::{GatewayBuilder, Route as CodeRoute};
use super::callers::Callers;
use super::compile::Compile;
use super::entrance::Entrance;
use super::handle::add_new;
use super::items::Ids;
use super::live::Live;
#[cfg(feature = "client")]
use super::names::Names;
use super::protos::Protos;
use super::route::Route;
use super::route_table::Built;
use super::secrets::{Answers, Secrets};
use super::settings::Rules;
use super::workshop::Metadata;
use super::{ApplyError, Gateway};
use crate::error::Error;
use crate::model::{Finding, Id, Kind, Places, RouteSpec, ServiceSpec, Snapshot};
use crate::plugin::Registry;
use crate::plugin::bodies::Room;
use crate::request::CustomVars;
use crate::router::{Predicate, Router, RouterOptions};
use crate::upstream::{Endpoints, Upstream, Upstreams};

/// What never changes in the life of a gateway.
pub(crate) struct Kit {
    pub(super) registry: Registry,
    pub(super) predicates: HashMap<String, Predicate>,
    pub(crate) custom_vars: Arc<CustomVars>,
    pub(super) endpoints: Endpoints,
    pub(super) upstreams: Upstreams,
    pub(super) code_routes: Vec<CodeRoute>,
    /// What plugins may hold of bodies, all together.
    pub(super) room: Arc<Room>,
    /// The way into the gateway itself, for plugins that send requests through it.
    pub(super) entrance: Entrance,
}

/// The last configuration in full: what the next one is compared with.
pub(crate) struct Master {
    kit: Arc<Kit>,
    state: State,
    #[cfg(feature = "client")]
    names: Names,
}

/// Everything compiled so far. A clone of the maps is avoided: changes are gathered first and committed when all is well.
pub(super) struct State {
    pub(super) snapshot: Snapshot,
    pub(super) rules: Arc<Rules>,
    pub(super) globals: Arc<Vec<Global>>,
    pub(super) protos: Protos,
    pub(super) upstreams: HashMap<Id, Arc<Upstream>>,
    pub(super) services: HashMap<Id, Arc<Service>>,
    pub(super) plugin_configs: HashMap<Id, Arc<Blocks>>,
    pub(super) metadata: Arc<Metadata>,
    pub(super) callers: Callers,
    /// What references to secrets were answered.
    pub(super) secrets: Answers,
    /// Fields of any block that clients must not send.
    pub(super) identity_fields: Arc<[HeaderName]>,
    pub(super) routes: HashMap<Id, Built>,
    pub(super) router: Router<Arc<Route>>,
    pub(super) ids: Ids,
    /// Certificates of listeners. Another one in each state, and the same as long as the state lives.
    #[cfg(feature = "tls")]
    pub(super) certificates: crate::tls::Certificates,
    /// What references in certificates were answered.
    #[cfg(feature = "tls")]
    pub(super) answered: super::certificates::Answered,
    /// What is doubtful about the snapshot: items that stay are not judged again.
    pub(super) warnings: Vec<Finding>,
    /// What the compiler doubts about what it made of it.
    pub(super) compile_warnings: Vec<Finding>,
    pub(super) revision: u64,
}

impl State {
    /// Fields of any block that clients must not send. Blocks that have any are few; so are the fields.
    pub(super) fn named_identity_fields(&self) -> Arc<[HeaderName]> {
        let resources = self.services.values().map(|service| &*service.blocks);
        let resources = resources.chain(self.plugin_configs.values().map(|blocks| &**blocks));
        let resources = resources.chain(self.globals.iter().map(|global| &*global.blocks));
        let resources = resources.chain(self.routes.values().map(|built| &*built.blocks));
        let of_routes = resources.flat_map(Blocks::identity_fields);
        let mut fields: Vec<_> = of_routes.chain(self.callers.identity_fields()).cloned().collect();
        fields.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        fields.dedup();
        fields.into()
    }

    fn all_warnings(&self) -> Vec<Finding> {
        let mut all = self.warnings.clone();
        add_new(&mut all, self.compile_warnings.clone());
        let stage_of = |kind: Kind, id: &Id, plugin: &str| {
            let blocks = match kind {
                Kind::Route => self.routes.get(id).map(|built| &*built.blocks),
                Kind::Service => self.services.get(id).map(|service| &*service.blocks),
                _ => self.plugin_configs.get(id).map(|blocks| &**blocks),
            };
            let (_, block) = blocks?.iter().find(|(name, _)| *name == plugin)?;
            block.map(|block| block.place.stage())
        };
        all.extend(self.callers.shadowed(&self.snapshot, stage_of));
        all
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            snapshot: Snapshot::default(),
            rules: Arc::default(),
            globals: Arc::default(),
            protos: Protos::default(),
            upstreams: HashMap::new(),
            services: HashMap::new(),
            plugin_configs: HashMap::new(),
            metadata: Arc::default(),
            callers: Callers::default(),
            secrets: Answers::new(),
            identity_fields: Arc::default(),
            routes: HashMap::new(),
            router: Router::new(RouterOptions::default()),
            ids: Ids::default(),
            #[cfg(feature = "tls")]
            certificates: crate::tls::Certificates::default(),
            #[cfg(feature = "tls")]
            answered: super::certificates::Answered::new(),
            warnings: Vec::new(),
            compile_warnings: Vec::new(),
            revision: 0,
        }
    }
}

pub(super) struct Global {
    pub(super) id: Id,
    pub(super) blocks: Arc<Blocks>,
}

pub(super) struct Service {
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) target: Option<Result<Arc<Upstream>, Error>>,
}

impl Kit {
    /// Every plugin that there is.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Every fault and warning of a snapshot, whatever is in force.
    pub(crate) fn check(&self, snapshot: Snapshot) -> Vec<Finding> {
        let mut state = State::default();
        match Compile::run(self, &state, snapshot) {
            Ok(prepared) => {
                prepared.commit(self, &mut state);
                state.all_warnings()
            }
            Err(error) => error.into_findings(),
        }
    }
}

impl Master {
    /// The first configuration: the routes in code.
    pub(crate) fn start(builder: GatewayBuilder, first: Snapshot) -> Result<Gateway, ApplyError> {
        #[cfg(feature = "client")]
        let names = Names::new(builder.resolver);
        let GatewayBuilder { registry, layers, routes, endpoints, predicates, custom_vars, upstreams, .. } = builder;
        let upstreams = upstreams.build();
        let kit = Arc::new(Kit {
            registry,
            predicates,
            custom_vars: Arc::new(custom_vars),
            endpoints,
            upstreams: upstreams.clone(),
            code_routes: routes,
            room: Arc::default(),
            entrance: Entrance::default(),
        });
        let mut master = Self {
            kit: Arc::clone(&kit),
            state: State::default(),
            #[cfg(feature = "client")]
            names,
        };
        let live = master.compile(first)?;
        Ok(Gateway::assemble(master, kit, live, layers, upstreams))
    }

    /// Compiles a snapshot and, if all is well, makes it the state.
    fn compile(&mut self, snapshot: Snapshot) -> Result<Arc<Live>, ApplyError> {
        let prepared = Compile::run(&self.kit, &self.state, snapshot)?;
        let live = prepared.commit(&self.kit, &mut self.state);
        self.kit.room.resize(self.state.snapshot.settings.limits.buffer_total_bytes);
        #[cfg(feature = "client")]
        self.names.apply(&self.state.snapshot.settings.dns, &self.kit.upstreams);
        Ok(live)
    }

    /// Certificates of listeners.
    #[cfg(feature = "tls")]
    pub(super) fn certificates(&self) -> &crate::tls::Certificates {
        &self.state.certificates
    }

    /// The snapshot that is in force.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.state.snapshot
    }

    /// Compiles a snapshot and makes it the state to compare with. Gives the value to swap in; `None` when the snapshot
    /// equals the one in force, which stays (config-sources.md §1).
    pub(crate) fn apply(&mut self, snapshot: Snapshot) -> Result<Option<Arc<Live>>, ApplyError> {
        // Warnings of a reader have lines, which move with the text around them.
        let warnings = self.state.snapshot.warnings.clone();
        if self.state.snapshot == (Snapshot { warnings, ..snapshot.clone() }) {
            self.state.snapshot = Snapshot { places: Places::default(), ..snapshot };
            return Ok(None);
        }
        self.compile(snapshot).map(Some)
    }

    /// Compiles the snapshot that is in force once more if references to secrets have other values than before.
    pub(crate) fn refresh(&mut self) -> Result<Option<Arc<Live>>, ApplyError> {
        if !Secrets::new(&self.state.snapshot.secrets).differ_from(&self.state.secrets) {
            return Ok(None);
        }
        let snapshot = self.state.snapshot.clone();
        self.compile(snapshot).map(Some)
    }

    /// The blocks that a route's chain is made of, by where they stand; `None` of a route that is not in force.
    pub(super) fn levels(&self, route: &RouteSpec) -> Option<Levels<'_>> {
        let state = &self.state;
        let service = route.service_id.as_ref();
        let plugin_config = route.plugin_config_id.as_ref();
        Some(Levels {
            route: &state.routes.get(&route.id)?.blocks,
            plugin_config: plugin_config.map(|id| state.plugin_configs.get(id).map(|blocks| &**blocks)),
            service: service.map(|id| state.services.get(id).map(|service| &*service.blocks)),
            globals: state.globals.iter().map(|global| (&global.id, &*global.blocks)).collect(),
            callers: &state.callers,
        })
    }

    /// What the compiler doubts about the snapshot that is in force.
    pub(crate) fn warnings(&self) -> Vec<Finding> {
        self.state.all_warnings()
    }

    /// The faults and warnings of what differs from the state, which stays as it is.
    pub(crate) fn judge(&self, snapshot: Snapshot) -> Vec<Finding> {
        match Compile::run(&self.kit, &self.state, snapshot) {
            Ok(prepared) => prepared.fresh,
            Err(error) => error.into_findings(),
        }
    }
}

/// What a route's chain is made of. What is named and does not exist is `Some(None)`.
pub(super) struct Levels<'a> {
    pub(super) route: &'a Blocks,
    pub(super) plugin_config: Option<Option<&'a Blocks>>,
    pub(super) service: Option<Option<&'a Blocks>>,
    pub(super) globals: Vec<(&'a Id, &'a Blocks)>,
    pub(super) callers: &'a Callers,
}
