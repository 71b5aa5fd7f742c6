//! `cedar`: asks policies in Cedar, in this process, whether a request may pass. Stage: access. (Not in the reference.)
//!
//! Decision, by Cedar's rules: at least one policy permits, and none forbids. A policy that fails in being worked out permits nothing;
//! where one that forbids fails, nobody passes. (Cedar itself leaves such a policy out.) Answer otherwise: `rejected_code`, 403 unless
//! set, with `{"message":"Access Denied"}`, or with `rejected_msg` in its place.
//!
//! What is asked:
//!
//! | part | value |
//! |---|---|
//! | principal | `Consumer::"name"`; without one `User::"…"` by the claim `user_claim` of whom `openid-connect` knows, or `cas-auth`, whose users have `user` and no `sub`; else `Anonymous::"anonymous"` |
//! | action | `Action::"…"` by the text `action`: the method |
//! | resource | `resource_type::"…"` by the text `resource`: `Route::"id"` |
//! | `context.method`, `.scheme`, `.host`, `.path` | texts; the path as plugins see it |
//! | `context.query` | a record of arguments by name, each a set of all its values |
//! | `context.headers` | a record of fields by name, in lower case; several lines with commas between them |
//! | `context.address` | the client's address, an `ipaddr`, if it is known |
//! | `context.route` | `id`, `uri`, and `name` and `service` (its id) where there are any; outside of a gateway there is no such record |
//! | `context.consumer` | `name`, `labels`, and `group` if it has one; only with a consumer |
//! | `context.claims` | what the provider states; only with such a user. Null and fractions are left out: Cedar does not have them |
//!
//! What else policies are to know of a consumer, a user or a route, such as the groups that it is `in`, stands in `entities`, under the
//! same type and id. With a `schema`, policies are type-checked (strictly) and entities are held against it when the block is loaded;
//! requests are not, so that it needs to tell of `context` only what policies use.
//!
//! What does not parse, or does not fit the schema, is refused with its line and column. Policies are evaluated where the request is
//! served; Cedar has no loops, so a decision takes time in proportion to the policies (at most 1000, 1 MiB of text). A policy has
//! 250 operators at most, and brackets go no deeper than 24.
//!
//! The policies that decided are kept for the access log ([`Exchange::policies`](crate::Exchange::policies)): by their annotation `@id`, or
//! as `policy0`, `policy1`, … in the order of the text.
//!
//! ```
//! use tollgate::plugins::cedar::{Cedar, CedarConfig, CedarLayer};
//!
//! let mut config = CedarConfig::default();
//! config.policies = r#"permit(principal, action == Action::"GET", resource) when { context.path like "/public/*" };"#.to_owned();
//! let layer = CedarLayer::of(Cedar::new(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"cedar": {
//!   "policies": "permit(principal in Team::\"ops\", action, resource);\nforbid(principal, action, resource) unless { context.address.isInRange(ip(\"10.0.0.0/8\")) };",
//!   "entities": [{"uid": {"type": "Consumer", "id": "acme"}, "attrs": {}, "parents": [{"type": "Team", "id": "ops"}]}]}}
//! ```
mod config;
mod depth;
mod gate;
mod plugin;
mod policies;
mod question;
#[cfg(test)]
mod tests;

pub use config::CedarConfig;
pub use gate::{Cedar, CedarLayer};
pub use plugin::CedarPlugin;
