//! `data-mask`: hides parts of requests from logs, not from upstreams. Stage: observe.
//!
//! Each rule of `request` says where something is (`type`, `name`) and what is done to it (`action`): `remove` takes it out, `replace`
//! puts `value` in its place, `regex` puts `value` in the place of the first match of `regex` in it (`$1` is a capture). Rules act in
//! order, those of a global rule before those of the route. Only those of a global rule act on requests without a route, also on those
//! that are refused before one is looked for.
//!
//! * `query`: arguments of that name in the logged target, all of them; the rest stays as it was sent.
//! * `header`: the field of that name, wherever it is logged.
//! * `body`: taken, and without effect: no log of this gateway shows bodies, so there is nothing to hide. `max_body_size` and
//!   `max_req_post_args` belong to it.
//!
//! It acts on the access log of the bundled gateway, and on any layer that logs by [`Exchange`](crate::Exchange) and asks it
//! (`masked_target`, `masked_field`). That log shows the target, `Host`, `Referer` and `User-Agent`; `Authorization` and cookies it never
//! shows, nor the values of arguments that carry secrets by their name. An argument inside of a `Referer` is hidden by a `header` rule.
//!
//! ```
//! use tollgate::plugins::data_mask::{DataMask, DataMaskConfig, DataMaskLayer, MaskRule};
//!
//! let mut config = DataMaskConfig::default();
//! config.request = vec![MaskRule::remove_argument("email")];
//! let layer = DataMaskLayer::of(DataMask::new(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"data-mask": {"request": [
//!   {"type": "query", "name": "email", "action": "remove"},
//!   {"type": "query", "name": "card", "action": "regex", "regex": "[0-9]{12}([0-9]{4})", "value": "************$1"},
//!   {"type": "header", "name": "referer", "action": "replace", "value": "hidden"}
//! ]}}
//! ```
mod config;
mod mask;
mod plugin;

pub use config::{BodyFormat, DataMaskConfig, MaskAction, MaskRule, MaskType};
pub use mask::{DataMask, DataMaskLayer};
pub use plugin::DataMaskPlugin;
