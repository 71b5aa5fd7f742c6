//! The place that an answer has in its upstream.
use super::admission::{OwnedPermit, Permit};
use super::balance::Busy;

/// What a response takes up until the end of its body: a place in the upstream, and one at its endpoint if that is counted.
#[derive(Debug)]
pub(crate) struct Stay {
    _permit: OwnedPermit,
    _busy: Option<Busy>,
}

impl Stay {
    pub(crate) fn of(permit: Permit<'_>, busy: Option<Busy>) -> Self {
        Self { _permit: permit.into_owned(), _busy: busy }
    }
}
