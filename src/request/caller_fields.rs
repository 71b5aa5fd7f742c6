//! Fields that tell the upstream who calls.
use std::sync::Arc;

use http::{Extensions, HeaderName};

/// Request extension: fields of the request that layers wrote by what they have found out of the caller. Answers may be the
/// caller's own, even where nobody has become a [`Consumer`](super::Consumer).
#[derive(Clone, Debug, Default)]
#[cfg_attr(
    not(all(feature = "cache", any(feature = "callout", feature = "jwe", feature = "jwt"))),
    allow(dead_code, reason = "the one reads what the others write")
)]
pub(crate) struct CallerFields(Vec<Arc<[HeaderName]>>);

#[cfg_attr(
    not(all(feature = "cache", any(feature = "callout", feature = "jwe", feature = "jwt"))),
    allow(dead_code, reason = "the one reads what the others write")
)]
impl CallerFields {
    /// Adds those that one more layer wrote.
    pub(crate) fn add(extensions: &mut Extensions, names: &Arc<[HeaderName]>) {
        extensions.get_or_insert_default::<Self>().0.push(Arc::clone(names));
    }

    /// Their names, in the order of the layers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().flat_map(|names| names.iter())
    }
}
