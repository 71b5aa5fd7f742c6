//! What plugins that log browsers in have in common: cookies, redirects, and the ways back.
mod answer;
mod clock;
pub(super) mod cookies;
mod place;
mod target;

#[cfg(feature = "oidc")]
pub(super) use answer::add_cookies;
pub(super) use answer::{redirect, with_cookies};
pub(super) use clock::unix_now;
pub(super) use place::origin;
pub(super) use target::{is_local, remembered};
