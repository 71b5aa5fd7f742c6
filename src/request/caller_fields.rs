//! Fields that tell the upstream who calls.
use std::sync::Arc;

use http::HeaderName;

/// Request extension: fields of the request that a layer wrote by what an outer service says of the caller. Answers may be
/// the caller's own, even where nobody has become a [`Consumer`](super::Consumer).
#[derive(Clone, Debug)]
#[cfg_attr(
    not(all(feature = "cache", feature = "callout")),
    allow(dead_code, reason = "one of them writes it, the other reads it")
)]
pub(crate) struct CallerFields(pub(crate) Arc<[HeaderName]>);
