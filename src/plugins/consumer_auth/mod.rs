//! What the plugins that identify consumers have in common: credentials as requests carry them, the anonymous consumer,
//! the challenge of a refusal (plugins/auth.md §0).
mod admit;
mod entrance;
mod login;
mod presented;

pub(crate) use admit::Admit;
pub(crate) use entrance::{Entrance, authorization, forwarded, required};
pub(crate) use login::Login;
#[cfg(feature = "jwt")]
pub(crate) use presented::only;
#[cfg(any(feature = "callout", feature = "jwe", feature = "jwt"))]
pub(crate) use presented::without_bearer;
pub(crate) use presented::{Argument, Repeated, single};
