//! [`Edition`]: the certificates of one configuration.
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Certificate;
use super::name::normal;
use super::table::Table;

/// The certificates as one configuration has them, and as a host has changed them since, until the next one.
///
/// Handshakes read the newest. A request is judged by that of the configuration that routes it, so that none meets the routes
/// of one and the demands of another (security.md CFG-01).
#[derive(Default)]
pub(crate) struct Edition(ArcSwap<Table>);

impl Edition {
    pub(super) fn new(table: Table) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(table)))
    }

    pub(super) fn table(&self) -> Guard<Arc<Table>> {
        self.0.load()
    }

    /// What a host changes.
    pub(super) fn set(&self, table: Table) {
        self.0.store(Arc::new(table));
    }

    /// The certificate of an id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Certificate>> {
        self.table().get(id).map(|entry| Arc::clone(&entry.certificate))
    }

    /// Who decides about requests for a name: as [`Certificates::find`](super::Certificates::find), but one that demands
    /// certificates of clients does so before it has anything to show.
    pub(crate) fn guarding(&self, name: &str) -> Option<Arc<Certificate>> {
        self.table().candidates(&normal(name)).find(|one| one.is_ready() || one.client().is_some()).cloned()
    }

    /// Whether any certificate demands one of clients.
    pub(crate) fn demands_of_clients(&self) -> bool {
        self.table().is_demanding()
    }
}
