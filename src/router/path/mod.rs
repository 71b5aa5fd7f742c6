//! The one canonical path of a request (router.md §2, security.md §3).
mod canonical;
mod compatible;
mod dots;
mod escape;
mod strict;
#[cfg(test)]
mod tests;

pub use canonical::{Canonical, EncodedSlash, PathFault, PathMode, PathOptions, canonicalise};
pub(crate) use escape::decode;
pub(super) use strict::canonicalise_literal;
