//! [`Certificates`]: the table that handshakes read.
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};
use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;
use tokio::sync::{Semaphore, watch};

use super::edition::Edition;
use super::handshake::Counters;
use super::name::normal;
use super::provider::{provider, tickets};
use super::table::{Entry, Table};
use super::{Certificate, HandshakeCounts, HandshakeFault, Pair};

/// Room between the order numbers of certificates that are put one after the other.
const STEP: u64 = 1 << 32;
/// What is put without an order number stands behind everything that has one.
const UNORDERED: u64 = 1 << 63;

/// The certificates of listeners by server name; a clone is the same table.
///
/// Handshakes read it without a lock. A change is seen by the next handshake; it costs the logarithm of the number of
/// certificates, and connections are not touched.
#[derive(Clone, Default)]
pub struct Certificates(Arc<Shared>);

struct Shared {
    newest: ArcSwap<Edition>,
    /// What all listeners with this table share.
    provider: Arc<CryptoProvider>,
    tickets: OnceLock<Arc<dyn ProducesTickets>>,
    turns: OnceLock<Semaphore>,
    counters: Counters,
    /// The last order number of those that were put without one. Who changes the table holds it.
    last: Mutex<u64>,
    changed: watch::Sender<u64>,
    installed: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            newest: ArcSwap::default(),
            provider: Arc::new(provider()),
            tickets: OnceLock::new(),
            turns: OnceLock::new(),
            counters: Counters::default(),
            last: Mutex::new(UNORDERED),
            changed: watch::Sender::new(0),
            installed: watch::Sender::new(0),
        }
    }
}

impl Certificates {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a certificate, or replaces the one of the same id, whose place among those of the same name it takes.
    pub fn put(&self, certificate: Arc<Certificate>) {
        self.change([Change::Put(certificate, None)]);
    }

    /// Takes a certificate out, and tells whether there was one.
    pub fn remove(&self, id: &str) -> bool {
        let known = self.table().get(id).is_some();
        if known {
            self.change([Change::Remove(id)]);
        }
        known
    }

    /// The certificate for a server name, as a handshake finds it.
    pub fn find(&self, name: &str) -> Option<Arc<Certificate>> {
        let table = self.table();
        table.candidates(&normal(name)).find(|certificate| certificate.is_ready()).cloned()
    }

    /// The certificate of an id.
    pub fn get(&self, id: &str) -> Option<Arc<Certificate>> {
        self.0.newest.load().get(id)
    }

    pub(crate) fn order_of(&self, id: &str) -> Option<u64> {
        self.table().get(id).map(|entry| entry.order)
    }

    /// All certificates, in the order in which those of one name are tried.
    pub fn all(&self) -> Vec<Arc<Certificate>> {
        self.table().all()
    }

    /// A number that changes with each change of the table. What is installed into a certificate or stapled to it does not
    /// count; [`installed`](Self::installed) tells of the former.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// A number that changes when pairs are installed into a certificate that is in the table. Where one is in several tables
    /// only the first counts it.
    pub fn installed(&self) -> watch::Receiver<u64> {
        self.0.installed.subscribe()
    }

    /// Shows `shown` to clients that ask for this name and offer the protocol `acme-tls/1` alone (RFC 8737), and to nobody
    /// else; `None` ends it.
    pub fn set_challenge(&self, name: &str, shown: Option<Pair>) {
        let _last = self.last();
        let mut table = Table::clone(&self.table());
        table.set_challenge(&normal(name), shown);
        self.0.newest.load().set(table);
    }

    /// How the handshakes of its listeners ended.
    pub fn handshakes(&self) -> HandshakeCounts {
        self.0.counters.read()
    }

    /// The best candidate for a normal name of which `take` takes something.
    pub(super) fn select<T>(
        &self,
        name: &str,
        take: impl Fn(&Certificate) -> Option<T>,
    ) -> Result<(Arc<Certificate>, T), HandshakeFault> {
        let table = self.table();
        let mut fault = HandshakeFault::UnknownName;
        for certificate in table.candidates(name) {
            match take(certificate) {
                Some(taken) => return Ok((Arc::clone(certificate), taken)),
                None if certificate.is_ready() => fault = HandshakeFault::Parameters,
                None => {}
            }
        }
        Err(fault)
    }

    pub(super) fn challenge(&self, name: &str) -> Option<Pair> {
        self.table().challenge(name).cloned()
    }

    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.0.provider
    }

    /// The keys of tickets: a session goes on at another listener of the table.
    pub(super) fn tickets(&self) -> &Arc<dyn ProducesTickets> {
        self.0.tickets.get_or_init(tickets)
    }

    /// Turns at the work of handshakes: as many at once as the runtime has threads.
    pub(super) fn turns(&self) -> &Semaphore {
        self.0.turns.get_or_init(|| {
            let threads = tokio::runtime::Handle::try_current().map(|runtime| runtime.metrics().num_workers());
            Semaphore::new(threads.unwrap_or(1).max(1))
        })
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    fn table(&self) -> Guard<Arc<Table>> {
        self.0.newest.load().table()
    }

    /// The newest one.
    pub(crate) fn edition(&self) -> Arc<Edition> {
        self.0.newest.load_full()
    }

    /// Makes the changes of a host, which hold for the requests of the configuration in force.
    fn change<'c>(&self, changes: impl IntoIterator<Item = Change<'c>>) {
        self.replace(changes, |table| self.0.newest.load().set(table));
    }

    /// Makes the changes of a configuration: the edition that there was stays as it is.
    pub(crate) fn begin_edition<'c>(&self, changes: impl IntoIterator<Item = Change<'c>>) {
        self.replace(changes, |table| self.0.newest.store(Edition::new(table)));
    }

    /// Handshakes see all changes at once.
    fn replace<'c>(&self, changes: impl IntoIterator<Item = Change<'c>>, store: impl FnOnce(Table)) {
        let mut last = self.last();
        let mut table = Table::clone(&self.table());
        for change in changes {
            match change {
                Change::Remove(id) => drop(table.remove(id)),
                Change::Put(certificate, order) => {
                    let known = table.get(certificate.id()).map(|entry| entry.order);
                    let order = order.or(known).unwrap_or_else(|| {
                        *last = last.saturating_add(STEP);
                        *last
                    });
                    certificate.tell(&self.0.installed);
                    table.put(Entry { order, certificate });
                }
            }
        }
        store(table);
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn last(&self) -> MutexGuard<'_, u64> {
        // It is a number: a panic left nothing halfway.
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One change of a table.
pub(crate) enum Change<'c> {
    /// With its order number; `None` for that of its predecessor, or the last.
    Put(Arc<Certificate>, Option<u64>),
    Remove(&'c str),
}

/// The same table.
impl PartialEq for Certificates {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Certificates {}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("changes", &*self.0.changed.borrow()).finish_non_exhaustive()
    }
}
