//! `authz-casbin`: asks a Casbin policy whether a request may pass. Stage: authenticate.
//!
//! Decision: the matcher of the model is asked about the value of the field `username` (`anonymous` without one), the path, and the
//! method. 1. It says no, it fails, or the field comes more than once: 403 `{"message":"Access Denied"}`. 2. There is neither model
//! and policy in the block nor in the plugin's metadata: 503 without a body. 3. Else the request passes.
//!
//! Model and policy are texts (`model`, `policy`) or files (`model_path`, `policy_path`); files are read when the block is loaded,
//! and not again before it changes. What cannot work is refused by then, with its line: a value or function that the matcher names
//! and that is not there, a policy with more or fewer values than the model defines or with a pattern that is none, and a request
//! definition that does not have three values. So is what would let everybody pass: no policy at all, an effect of a policy other than
//! `allow` and `deny`, and a model under which only `deny` counts and no policy has an effect. Roles of two definitions (`g`, `g2`, up to `g4`) are
//! apart, as in Go's Casbin, and may have roles, up to ten links away; there may be 100,000 lines of them. A matcher has 4096 bytes and
//! 100 brackets and operators at most, and files 4 MiB. There are the functions `keyMatch` to `keyMatch5`, `keyGet` to `keyGet3`,
//! `regexMatch` and those of role definitions; `eval` is not there. A policy's value that has commas stands in quotes.
//!
//! Caveats: the field is what says who calls, so it must be one that clients cannot set, such as
//! `X-Consumer-Username`. That is there behind `key-auth` and its like, in front of which this plugin stands by its priority, so that
//! everybody is `anonymous`: give it a `_meta.priority` of less than 2500. (`X-Userinfo` of `openid-connect` has all claims in
//! Base64, which is no name.) Every request costs time in proportion to the number of
//! policies, of which there may be 10,000; more than 500 are asked beside the threads that serve requests, as many
//! at once as there are processors; a request that waits for its turn for a second is answered with 503 and `Retry-After`.
//!
//! In a host program the feature brings an `impl Add` for `String` into sight (of the crate `smartstring`): where its code adds a
//! `&String` to a `String`, the compiler then asks for `&*text` or `&text[..]`.
//!
//! ```
//! use tollgate::plugins::authz_casbin::{AuthzCasbin, AuthzCasbinConfig, AuthzCasbinLayer};
//!
//! let mut config = AuthzCasbinConfig::default();
//! config.username = "X-User".to_owned();
//! config.model = Some(
//!     "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
//!      [policy_effect]\ne = some(where (p.eft == allow))\n\
//!      [matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act\n"
//!         .to_owned(),
//! );
//! config.policy = Some("p, alice, /orders/*, GET".to_owned());
//! let layer = AuthzCasbinLayer::of(AuthzCasbin::new(config)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"authz-casbin": {"username": "X-Consumer-Username", "_meta": {"priority": 2400},
//!   "model": "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act",
//!   "policy": "p, acme, /orders/*, GET"}}
//! ```
mod config;
mod functions;
mod gate;
mod lines;
mod matcher;
mod model;
mod pattern;
mod plugin;
mod policy;
mod roles;
mod tables;
#[cfg(test)]
mod tests;

pub use config::{AuthzCasbinConfig, AuthzCasbinMetadata};
pub use gate::{AuthzCasbin, AuthzCasbinLayer};
pub use plugin::AuthzCasbinPlugin;
