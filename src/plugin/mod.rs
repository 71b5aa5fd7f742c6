//! The contract of plugins: a plugin is a name, a place in the chain and a constructor of tower layers.
//!
//! A plugin is written as a [`Plugin`] and put into the gateway by `Gateway::builder().plugin(MyPlugin)`; from then on a
//! route, service, plugin config, consumer, consumer group or global rule may name it. What it builds is most often a
//! [`Gate`] (a decision), or [`Around`] (asynchronous code around the rest), and may be any other tower layer. The
//! [`PluginLayer`](crate::PluginLayer)s are built when a configuration is compiled and live behind the routes; a request
//! only walks through them.
mod around;
mod authenticate;
#[cfg(any(feature = "casbin", feature = "rego", feature = "grpc-transcode", feature = "validation"))]
mod bench;
pub mod bodies;
mod choice;
mod context;
mod contract;
mod gate;
mod meta;
mod registry;
mod schema;
mod secret_fields;
mod stage;

pub use around::{Around, AroundLayer, Hop, Surrounded};
pub use authenticate::{Authenticate, Authenticating, ConsumerLookup};
#[cfg(any(feature = "casbin", feature = "rego", feature = "grpc-transcode", feature = "validation"))]
pub(crate) use bench::Bench;
#[cfg(any(feature = "casbin", feature = "rego"))]
pub(crate) use bench::Busy;
pub use choice::UpstreamChoice;
pub(crate) use choice::{ChoiceStands, CopyOf, StandIn};
pub(crate) use context::Workshop;
pub use context::{BuildContext, Scope};
pub use contract::{Api, AuthPlugin, Caveat, ConfigError, Plugin};
pub use gate::{Gate, GateLayer, Gated};
pub use meta::{Meta, MetaError};
pub use registry::{Built, Entry, Registry, shape};
pub use schema::{SchemaOf, Schematic};
pub use secret_fields::{REDACTED, SecretFields, is_secret_reference};
pub use stage::Stage;
