//! A zone in memory.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::HeaderName;

use super::content::{Content, Pieces};
use super::held::Held;
use super::index::{Entry, Index};
use super::stats::{Counters, count};
use super::zone::Stored;
use super::{CacheKey, Draft, Fetching, record};

/// Up to this size a body lies with its head in one allocation.
const SMALL: usize = 16 * 1024;
/// Larger ones lie in pieces of this size: what an upstream reads by is not kept alive for a few bytes of it.
const PIECE: usize = 64 * 1024;
/// What an allocation takes beside its bytes, and reference counts.
const ALLOCATION: u64 = 32;

/// Where a zone in memory keeps its answers.
pub(super) struct Memory {
    pub(super) index: Index<Kept>,
    capacity: u64,
    /// Bytes of bodies that are on their way in, and of large ones that are kept or read still.
    held: Arc<AtomicU64>,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} bytes)", self.capacity)
    }
}

/// An answer in memory. A clone shares it.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// Head and body.
    Small(Arc<[u8]>),
    Large(Arc<Large>),
}

#[derive(Debug)]
pub(super) struct Large {
    head: Bytes,
    body: Arc<Pieces>,
}

impl Entry for Kept {
    fn weight(&self) -> u64 {
        match self {
            Self::Small(bytes) => bytes.len() as u64 + ALLOCATION,
            Self::Large(large) => {
                let Pieces { list, length, .. } = &*large.body;
                large.head.len() as u64 + length + (list.len() as u64 + 3) * (ALLOCATION + size_of::<Bytes>() as u64)
            }
        }
    }
}

impl Kept {
    /// Tells it from others that are kept at the same time: where it lies.
    pub(super) fn id(&self) -> u64 {
        let place = match self {
            Self::Small(bytes) => bytes.as_ptr().addr(),
            Self::Large(large) => Arc::as_ptr(large).addr(),
        };
        place as u64
    }

    pub(super) fn open(&self) -> Option<Stored> {
        let (head, content) = match self {
            Self::Small(all) => {
                let mut head = Bytes::from_owner(Arc::clone(all));
                let length = record::length(&head)?;
                let body = (length <= head.len()).then(|| head.split_off(length))?;
                (head, Content::Whole(body))
            }
            Self::Large(large) => (large.head.clone(), Content::Pieces(Arc::clone(&large.body))),
        };
        Some(Stored { meta: record::meta(&head)?, head, content, id: self.id() })
    }
}

impl Memory {
    pub(super) fn new(capacity: u64, counters: Arc<Counters>) -> Self {
        Self { index: Index::new(capacity), capacity, held: Arc::default(), counters }
    }
}

/// An answer on its way into memory.
#[derive(Debug)]
pub(crate) struct MemoryWriter {
    memory: Arc<Memory>,
    key: CacheKey,
    head: Vec<u8>,
    names: Vec<HeaderName>,
    variant: u64,
    fetching: Fetching,
    pieces: Vec<Bytes>,
    /// The one that is not whole yet. It never has more room than a piece.
    piece: Vec<u8>,
    length: u64,
    held: Held,
    /// It is too long, or the zone holds too much.
    failed: bool,
}

impl MemoryWriter {
    pub(super) fn new(memory: &Arc<Memory>, key: CacheKey, draft: Draft, fetching: Fetching) -> Option<Self> {
        Some(Self {
            memory: Arc::clone(memory),
            key,
            head: record::encode(&draft)?,
            names: draft.names,
            variant: draft.meta.variant,
            fetching,
            pieces: Vec::new(),
            piece: Vec::new(),
            length: 0,
            held: Held::of(&memory.held),
            failed: false,
        })
    }

    pub(super) fn push(&mut self, mut data: Bytes) {
        if self.failed {
            return;
        }
        let more = data.len() as u64;
        self.length += more;
        // Clients that read slowly hold what has gone out of the zone long ago.
        let is_too_much = self.held.add(more) > self.memory.capacity.saturating_mul(2);
        if is_too_much || self.length > self.memory.index.heaviest() {
            self.give_up();
            return;
        }
        while !data.is_empty() {
            let part = data.split_to((PIECE - self.piece.len()).min(data.len()));
            gather(&mut self.piece, &part);
            if self.piece.len() == PIECE {
                self.pieces.push(std::mem::take(&mut self.piece).into());
            }
        }
    }

    /// Whether it was given up.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Keeps the answer. `false`: it is not kept.
    pub(super) fn finish(mut self) -> bool {
        if self.failed {
            return false;
        }
        let kept = if self.pieces.is_empty() && self.piece.len() <= SMALL {
            self.head.extend_from_slice(&self.piece);
            Kept::Small(Arc::from(&*self.head))
        } else {
            let mut pieces = std::mem::take(&mut self.pieces);
            if !self.piece.is_empty() {
                // by its own size: it may have room for a whole one
                pieces.push(std::mem::take(&mut self.piece).into_boxed_slice().into());
            }
            let body = Pieces { list: pieces.into(), length: self.length, _held: std::mem::take(&mut self.held) };
            Kept::Large(Arc::new(Large { head: std::mem::take(&mut self.head).into(), body: Arc::new(body) }))
        };
        self.keep(kept)
    }

    /// Keeps the answer with the body of another.
    pub(super) fn finish_with(mut self, content: &Content) -> bool {
        let head = std::mem::take(&mut self.head);
        match content {
            Content::Whole(body) => self.keep(Kept::Small(Arc::from([&*head, body].concat()))),
            Content::Pieces(body) => {
                self.keep(Kept::Large(Arc::new(Large { head: head.into(), body: Arc::clone(body) })))
            }
            Content::File(_) => false,
        }
    }

    fn keep(&self, kept: Kept) -> bool {
        let counters = &self.memory.counters;
        match self.memory.index.put(self.key, &self.names, self.variant, kept, &self.fetching) {
            Ok(gone) => {
                counters.evicted.fetch_add(gone.evicted.len() as u64, Relaxed);
                if gone.is_kept {
                    count(&counters.stored);
                }
                gone.is_kept
            }
            Err(_) => false,
        }
    }

    fn give_up(&mut self) {
        self.failed = true;
        self.held.release();
        (self.pieces, self.piece) = (Vec::new(), Vec::new());
    }
}

/// Adds to a piece. Its room doubles up to that of a whole one, and no further: what a zone holds is what it counts.
fn gather(piece: &mut Vec<u8>, part: &[u8]) {
    let needed = piece.len() + part.len();
    if needed > piece.capacity() {
        let room = needed.max((piece.capacity() * 2).min(PIECE));
        piece.reserve_exact(room - piece.len());
    }
    piece.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::super::KeyBuilder;
    use super::super::index::Looked;
    use super::super::record::tests::draft;
    use super::*;

    fn memory(capacity: u64) -> Arc<Memory> {
        Arc::new(Memory::new(capacity, Arc::default()))
    }

    fn key(text: &str) -> CacheKey {
        KeyBuilder::default().part(text.as_bytes()).finish()
    }

    fn store(memory: &Arc<Memory>, name: &str, pieces: &[usize]) -> bool {
        let mut writer = MemoryWriter::new(memory, key(name), draft(200), memory.index.fetching(&key(name))).unwrap();
        pieces.iter().for_each(|length| writer.push(Bytes::from(vec![b'x'; *length])));
        writer.finish()
    }

    fn find(memory: &Memory, name: &str) -> Option<Stored> {
        match memory.index.find(&key(name), &HeaderMap::new()) {
            Looked::Kept(kept) => kept.open(),
            Looked::Missing(_) => None,
        }
    }

    #[tokio::test]
    async fn bodies_of_every_size_come_back_as_they_were() {
        let memory = memory(64 << 20);
        for pieces in [&[][..], &[1], &[SMALL], &[SMALL, 1], &[PIECE], &[1, PIECE, PIECE * 2 + 7]] {
            assert!(store(&memory, "a", pieces));
            let stored = find(&memory, "a").unwrap();
            let length: usize = pieces.iter().sum();
            assert_eq!((stored.meta.status.as_u16(), stored.len()), (200, length as u64));
            let body = stored.body(0..stored.len()).buffer(1 << 20).await.unwrap();
            assert_eq!(body, vec![b'x'; length]);
        }
        assert!(find(&memory, "a").is_some_and(|stored| stored.len() == memory.held.load(Relaxed)));
    }

    #[test]
    fn pieces_have_no_room_that_is_not_counted() {
        for part in [1, 1000, 10_240, 16_384, 40_000] {
            let mut piece = Vec::new();
            while piece.len() < PIECE {
                let some = vec![b'x'; part.min(PIECE - piece.len())];
                gather(&mut piece, &some);
                assert!(piece.capacity() <= PIECE, "{part}: {}", piece.capacity());
            }
        }
    }

    #[test]
    fn what_is_too_large_and_too_much_at_once_is_not_kept() {
        let memory = memory(1 << 20);
        assert!(!store(&memory, "a", &[1 << 18, 1]));
        assert!(store(&memory, "a", &[1 << 17]));
        let begin = |_| MemoryWriter::new(&memory, key("b"), draft(200), memory.index.fetching(&key("b"))).unwrap();
        let mut writers: Vec<_> = (0..16).map(begin).collect();
        writers.iter_mut().for_each(|writer| writer.push(Bytes::from(vec![0; 1 << 17])));
        assert_eq!(writers.iter().filter(|writer| writer.has_failed()).count(), 1);
        drop(writers);
        assert_eq!(memory.held.load(Relaxed), 1 << 17);
        memory.index.remove(&key("a"));
        assert_eq!(memory.held.load(Relaxed), 0);
    }

    #[test]
    fn what_slow_readers_hold_counts_when_it_has_gone() {
        let memory = memory(1 << 20);
        let names: Vec<_> = (0..20).map(|number: u8| number.to_string()).collect();
        let mut read = Vec::new();
        for name in &names {
            if store(&memory, name, &[200_000]) {
                let stored = find(&memory, name).unwrap();
                read.push(stored.body(0..stored.len()));
            }
            assert!(memory.held.load(Relaxed) <= 2 << 20);
        }
        assert_eq!(read.len(), (2 << 20) / 200_000);
        // hits go on, and so does finding out that what is kept is good still
        let stored = names.iter().find_map(|name| find(&memory, name)).unwrap();
        let renewing = memory.index.fetching(&key("a"));
        let writer = MemoryWriter::new(&memory, key("a"), draft(200), renewing).unwrap();
        assert!(writer.finish_with(&stored.content));
        drop((read, stored));
        assert!(store(&memory, "b", &[200_000]));
        assert!(memory.held.load(Relaxed) <= 1 << 20);
    }
}
