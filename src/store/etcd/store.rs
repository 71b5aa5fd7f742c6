//! [`EtcdStore`].
use std::sync::Arc;

use super::super::{Committed, Loaded, NewsStream, Store, StoreError, StoreFuture, Traffic, Transaction};
use super::client::Client;
use super::options::Options;
use super::{commit, load, watch};
use crate::model::EtcdSettings;

/// A store in etcd 3.4 or later, laid out as the reference's: `<prefix>/routes/7`.
///
/// All its users share one HTTP/2 connection, which is opened when it is first needed and goes to another server when
/// one fails. Full reads and changes are linearizable. Reading rights on the prefix are enough for who never writes.
///
/// A time to live is rounded up to whole seconds, and the server may make it longer (`--election-timeout`). A change
/// has as many edits as the server takes (`--max-txn-ops`, 128 unless set). Clones are the same store.
#[derive(Clone, Debug)]
pub struct EtcdStore {
    pub(super) client: Arc<Client>,
}

impl EtcdStore {
    /// A store at these servers. Nothing is connected yet. The password is taken as it is: references are for the
    /// caller to look up.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for settings that cannot work, files of certificates that cannot be read among them.
    pub fn new(settings: &EtcdSettings) -> Result<Self, StoreError> {
        Ok(Self { client: Arc::new(Client::new(Options::new(settings)?)) })
    }

    /// What it asked of the network so far, over 1 connection, or 0 while none can be had.
    pub fn stats(&self) -> Traffic {
        self.client.counters.look()
    }
}

impl Store for EtcdStore {
    fn place(&self) -> Arc<str> {
        Arc::clone(&self.client.options.place)
    }

    fn identity(&self) -> Arc<str> {
        format!("etcd {}", self.client.options.prefix).into()
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.stats())
    }

    fn load(&self) -> StoreFuture<'_, Loaded> {
        Box::pin(load::load(&self.client))
    }

    fn watch(&self, from: u64) -> NewsStream {
        watch::news(Arc::clone(&self.client), from)
    }

    fn commit(&self, transaction: Transaction) -> StoreFuture<'_, Committed> {
        Box::pin(async move { commit::commit(&self.client, &transaction).await })
    }
}
