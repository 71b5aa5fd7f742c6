//! A shared cache as RFC 9111 has it, for plugins that say what is kept under which key.
mod answer;
mod body;
mod conditional;
mod deception;
mod directives;
mod engine;
mod fetch;
mod lifetime;
mod policy;
mod ranges;
mod unkeyed;

pub(super) use directives::CacheControl;
pub(super) use engine::{Engine, Life, Query, is_beside};
pub(super) use lifetime::Lifetime;
pub(super) use policy::Policy;
pub(super) use unkeyed::{OF_THE_GATEWAY, Unkeyed};
