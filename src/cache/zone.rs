//! A zone.
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::clock::Clock;
use super::content::Content;
use super::disk::Disk;
use super::flight::Flights;
use super::index::Looked;
use super::memory::{Memory, MemoryWriter};
use super::notes::Notes;
use super::stats::Counters;
use super::{CacheKey, Draft, Fetching, Joined, Meta, Stats, Writer, record};
use crate::Body;
use crate::model::CacheZoneSpec;

/// For so many milliseconds nobody waits for an answer that is not kept.
const REFUSED: u64 = 10_000;
/// For so many milliseconds what is over stands in for an upstream that is away without its being asked again.
const FAILED: u64 = 1000;

/// A place where answers are kept. It lives as long as anybody holds it: over reloads, as long as a block names it.
pub struct Zone {
    spec: CacheZoneSpec,
    clock: Clock,
    pub(super) store: Store,
    flights: Flights,
    /// Keys whose last answer was not to be kept: nobody waits for another's.
    refusals: Notes,
    /// Keys whose upstream was away a moment ago.
    failures: Notes,
    counters: Arc<Counters>,
}

#[derive(Debug)]
pub(super) enum Store {
    Memory(Arc<Memory>),
    Disk(Arc<Disk>),
}

/// What a look for an answer finds.
#[derive(Debug)]
pub(crate) enum Found {
    Stored(Stored),
    /// Nothing. The key is that of the answer that is missing: one of several, as far as that is known.
    Missing(CacheKey),
}

/// An answer out of a zone.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) meta: Meta,
    pub(super) head: Bytes,
    pub(super) content: Content,
    /// Which it is among those of its key; see [`Zone::withdraw`].
    pub(super) id: u64,
}

impl Stored {
    /// The fields as they were stored.
    pub(crate) fn headers(&self) -> HeaderMap {
        // A head that does not read was not taken out of a file, and memory holds what was put in.
        record::headers(&self.head).unwrap_or_default()
    }

    /// Bytes of the body.
    pub(crate) fn len(&self) -> u64 {
        self.content.len()
    }

    /// These bytes of the body.
    pub(crate) fn body(&self, range: Range<u64>) -> Body {
        self.content.body(range)
    }
}

impl Zone {
    /// A zone of its own. The folder of one on disk is made, and what is in it read, when it is first used, or by
    /// [`Zone::open`].
    pub fn new(spec: CacheZoneSpec) -> Arc<Self> {
        let counters = Arc::<Counters>::default();
        let clock = Clock::new();
        let store = match &spec.disk_path {
            None => Store::Memory(Arc::new(Memory::new(spec.memory_size.0, Arc::clone(&counters)))),
            Some(folder) => Store::Disk(Disk::new(folder.clone(), &spec, clock, Arc::clone(&counters))),
        };
        let (refusals, failures) = (Notes::new(REFUSED), Notes::new(FAILED));
        Arc::new(Self { spec, clock, store, flights: Flights::default(), refusals, failures, counters })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What it was made by.
    pub fn spec(&self) -> &CacheZoneSpec {
        &self.spec
    }

    /// Whether it is on disk.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.store, Store::Disk(_))
    }

    /// How it stands.
    pub fn stats(&self) -> Stats {
        let size = match &self.store {
            Store::Memory(memory) => memory.index.size(),
            Store::Disk(disk) => disk.index.size(),
        };
        self.counters.read(size)
    }

    /// Reads what a zone on disk has kept of earlier runs, and waits until all of it is known. Without it that happens in
    /// the background from the first request on, which may be answered by the upstream meanwhile.
    ///
    /// # Errors
    /// That the folder cannot be made, or is another user's.
    pub async fn open(&self) -> std::io::Result<()> {
        match &self.store {
            Store::Memory(_) => Ok(()),
            Store::Disk(disk) => disk.read_all().await,
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Looks for the answer to a request with these fields.
    pub(crate) async fn find(&self, key: CacheKey, request: &HeaderMap) -> Found {
        let missing = |variant| Found::Missing(key.of_variant(variant));
        match &self.store {
            Store::Memory(memory) => match memory.index.find(&key, request) {
                Looked::Kept(kept) => kept.open().map_or(Found::Missing(key), Found::Stored),
                Looked::Missing(variant) => missing(variant),
            },
            Store::Disk(disk) => match disk.index().find(&key, request) {
                Looked::Kept(file) => disk.load(key, file).await.map_or(Found::Missing(key), Found::Stored),
                Looked::Missing(variant) => missing(variant),
            },
        }
    }

    /// Joins the fetch of a missing answer, unless it has been under way for longer than `patience`.
    pub(crate) fn join(&self, missing: CacheKey, patience: Duration) -> Joined {
        self.flights.join(missing, patience)
    }

    /// Begins a fetch, to be said before the upstream is asked: see [`Zone::store`].
    pub(crate) fn fetching(&self, key: CacheKey) -> Fetching {
        match &self.store {
            Store::Memory(memory) => memory.index.fetching(&key),
            Store::Disk(disk) => disk.index().fetching(&key),
        }
    }

    /// Begins to store an answer of that length, if it says so; the request's fields say which variant it is. It is
    /// not kept if anything has been taken out of its URL since the fetch began. `None` when it cannot be kept.
    pub(crate) fn store(
        &self,
        key: CacheKey,
        mut draft: Draft,
        request: &HeaderMap,
        length: Option<u64>,
        fetching: Fetching,
    ) -> Option<Writer> {
        draft.meta.variant = super::variant::variant(&draft.names, request);
        match &self.store {
            Store::Memory(memory) => {
                let fits = length.is_none_or(|length| length <= memory.index.heaviest());
                MemoryWriter::new(memory, key, draft, fetching).filter(|_| fits).map(Writer::Memory)
            }
            Store::Disk(disk) => {
                let fits = length.is_none_or(|length| length <= disk.index().heaviest());
                disk.writer(key, &draft, fetching).filter(|_| fits).map(Writer::Disk)
            }
        }
    }

    /// Takes one answer out that its origin stands by no longer.
    pub(crate) fn withdraw(&self, key: CacheKey, stored: &Stored) {
        match &self.store {
            Store::Memory(memory) => drop(memory.index.drop_where(&key, |kept| kept.id() == stored.id)),
            Store::Disk(disk) => disk.withdraw(key, stored.id),
        }
    }

    /// Notes for a while that answers of this key are not kept, so that nobody waits for another's.
    pub(crate) fn refuse(&self, key: CacheKey) {
        self.refusals.note(key, self.now());
    }

    /// Whether [`Zone::refuse`] was said of that key a short while ago.
    pub(crate) fn refuses(&self, key: CacheKey) -> bool {
        self.refusals.hold(key, self.now())
    }

    /// Notes for a moment that the upstream is away and something that is kept stands in for answers of this key.
    pub(crate) fn fail(&self, key: CacheKey) {
        self.failures.note(key, self.now());
    }

    /// Whether [`Zone::fail`] was said of that key a moment ago.
    pub(crate) fn failed(&self, key: CacheKey) -> bool {
        self.failures.hold(key, self.now())
    }

    /// Whether an answer of the URL of that key is kept.
    pub(crate) fn keeps(&self, key: CacheKey) -> bool {
        match &self.store {
            Store::Memory(memory) => memory.index.has_of_url(&key),
            Store::Disk(disk) => disk.index().has_of_url(&key),
        }
    }

    /// As [`Zone::purge`], for who does not ask whether there were any: nothing is waited for.
    pub(crate) fn take_out(&self, key: CacheKey) {
        match &self.store {
            Store::Memory(memory) => drop(memory.index.remove(&key)),
            Store::Disk(disk) => drop(disk.take_out(key)),
        }
    }

    /// Takes all answers of the URL of a key out, and those that are being stored. Tells whether there were any. From the call
    /// on nobody is given one; files are waited for a few seconds at most.
    pub(crate) async fn purge(&self, key: CacheKey) -> bool {
        match &self.store {
            Store::Memory(memory) => !memory.index.remove(&key).is_empty(),
            Store::Disk(disk) => disk.purge(key).await,
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone").field("name", &self.spec.name).field("stats", &self.stats()).finish_non_exhaustive()
    }
}
