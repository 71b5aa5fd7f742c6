//! The contract of plugins: a plugin is a name, a place in the chain and a constructor of tower layers.
//!
//! A plugin is written as a [`Plugin`] and put into the gateway by `Gateway::builder().plugin(MyPlugin)`; from then on a
//! route, service, plugin config or global rule may name it. Its [`PluginLayer`](crate::PluginLayer)s are built when a
//! configuration is compiled and live behind the routes; a request only walks through them.
mod contract;
mod meta;
mod registry;
mod stage;

pub use contract::{BuildContext, ConfigError, Plugin, Scope};
pub use meta::{Meta, MetaError};
pub use registry::{Entry, Registry};
pub use stage::Stage;
