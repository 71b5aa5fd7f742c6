//! The list of the plugins that come with the crate.
use super::key_auth;
use crate::plugin::Registry;

impl Registry {
    /// Every plugin that comes with the crate and that its features allow: one line each, in order of name.
    pub fn standard() -> Self {
        let mut registry = Self::new();
        registry.register_auth(key_auth::KeyAuthPlugin);
        registry
    }
}
