//! The plugin before a double of Keycloak.
mod config;
mod decisions;
mod login;
mod lookup;
mod realm;
