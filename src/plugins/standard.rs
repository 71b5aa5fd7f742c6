//! The list of the plugins that come with the crate.
use super::{basic_auth, key_auth, limit_conn, limit_count, limit_req, public_api, workflow};
use crate::plugin::Registry;

impl Registry {
    /// Every plugin that comes with the crate and that its features allow: one line each, in order of name.
    pub fn standard() -> Self {
        let mut registry = Self::new();
        registry.register_auth(basic_auth::BasicAuthPlugin::default());
        registry.register_auth(key_auth::KeyAuthPlugin);
        registry.register(limit_conn::LimitConnPlugin::default());
        registry.register(limit_count::LimitCountPlugin::default());
        registry.register(limit_req::LimitReqPlugin::default());
        #[cfg(feature = "prometheus")]
        registry.register(super::prometheus::PrometheusPlugin::default());
        registry.register(public_api::PublicApiPlugin);
        registry.register(workflow::WorkflowPlugin::default());
        registry
    }
}
