//! What the plugins that identify consumers have in common: credentials as requests carry them, the anonymous consumer,
//! the challenge of a refusal (plugins/auth.md §0).
mod entrance;
mod presented;

pub(crate) use entrance::{Entrance, authorization, forwarded, required};
#[cfg(feature = "jwt")]
pub(crate) use presented::only;
pub(crate) use presented::{Argument, Repeated, single};
