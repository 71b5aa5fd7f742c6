//! `openid-connect` with a certified provider (`tests/oidc/provider.mjs`): log-ins as a browser does them, bearer tokens, and
//! attacks on both.
#![cfg(test)]
#![cfg(all(feature = "real-servers", feature = "oidc", feature = "server"))]
mod peers;

#[path = "oidc/attacks.rs"]
mod attacks;
#[path = "oidc/browser.rs"]
mod browser;
#[path = "oidc/login.rs"]
mod login;
#[path = "oidc/logout.rs"]
mod logout;
#[path = "oidc/provider.rs"]
mod provider;
#[cfg(feature = "redis")]
#[path = "oidc/redis.rs"]
mod redis;
#[path = "oidc/rig.rs"]
mod rig;
#[path = "oidc/sessions.rs"]
mod sessions;
#[path = "oidc/tokens.rs"]
mod tokens;
