//! The full read: everything below the prefix, at one revision.
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::super::{Entry, Key, Loaded, StoreError};
use super::client::{Client, LIMIT, about};
use super::failure::{Failure, Meaning};
use super::message::{KeyValue, RangeRequest, RangeResponse, ResponseHeader};
use super::options::end_of;

/// Keys of the first page.
const FIRST_PAGE: i64 = 500;
/// Keys of a page at most.
const LARGEST_PAGE: i64 = 10_000;
/// Bytes that a page is to have.
const PAGE_BYTES: usize = 2 << 20;
/// So many reads by pages may be overtaken by a compaction before everything is read in one piece.
const BY_PAGES: usize = 2;
/// The longest answer of that.
const WHOLE: usize = 1 << 30;
/// So often two reads may contradict each other.
const ATTEMPTS: usize = 5;
/// Between two rounds over all servers at the start.
const START_PAUSE: Duration = Duration::from_millis(200);

/// Reads everything. The first read of a store is tried anew as often as the settings say.
pub(super) async fn load(client: &Client) -> Result<Loaded, StoreError> {
    let mut left = if client.seen().is_nothing() { client.options.startup_retry } else { 0 };
    loop {
        match settled(client).await {
            Ok(loaded) => return Ok(loaded),
            Err(failure) if left > 0 && failure.meaning() == Meaning::Down && failure.again().is_none() => {
                left -= 1;
                sleep(about(START_PAUSE)).await;
            }
            Err(failure) => return Err(client.error(&failure)),
        }
    }
}

/// A read whose outcome is no accident: that there is nothing, and that the store is another one than before, counts
/// once a second linearizable read agrees (security.md CFG-03).
async fn settled(client: &Client) -> Result<Loaded, Failure> {
    let mut overtaken = 0;
    for _ in 0..ATTEMPTS {
        let before = client.seen();
        let read = match read(client, overtaken >= BY_PAGES).await {
            Err(failure) if failure.meaning() == Meaning::Compacted => {
                overtaken += 1;
                continue;
            }
            read => read?,
        };
        let is_same = before.allows(read.header);
        if is_same && !read.kvs.is_empty() {
            client.note(read.header);
            return Ok(read.loaded(client));
        }
        let (header, count) = client.census().await?;
        let agrees = header.cluster_id == read.header.cluster_id
            && header.revision >= read.header.revision
            && before.allows(header) == is_same
            && (count == 0) == read.kvs.is_empty();
        if agrees {
            if is_same {
                client.note(read.header);
            } else {
                client.believe(read.header);
            }
            return Ok(read.loaded(client));
        }
    }
    Err(Failure::Nonsense("several reads contradict each other"))
}

/// What one read found.
struct Read {
    header: ResponseHeader,
    kvs: Vec<KeyValue>,
}

impl Read {
    fn loaded(self, client: &Client) -> Loaded {
        let prefix = client.options.prefix.as_bytes();
        Loaded {
            revision: self.header.revision.unsigned_abs(),
            entries: self.kvs.into_iter().filter_map(|kv| item(prefix, &kv)).collect(),
        }
    }
}

/// What a key and its value are to us; `None` for what is no item.
pub(super) fn item(prefix: &[u8], kv: &KeyValue) -> Option<(Key, Entry)> {
    let key = key(prefix, kv)?;
    let entry = Entry {
        // A copy: a slice would keep the whole page.
        value: Bytes::copy_from_slice(&kv.value),
        created: kv.create_revision.unsigned_abs(),
        modified: kv.mod_revision.unsigned_abs(),
    };
    Some((key, entry))
}

/// The item that a key stands for, if any.
pub(super) fn key(prefix: &[u8], kv: &KeyValue) -> Option<Key> {
    Key::parse(std::str::from_utf8(kv.key.strip_prefix(prefix)?).ok()?)
}

/// All pages, pinned to the revision of the first; or everything in one piece.
async fn read(client: &Client, in_one_piece: bool) -> Result<Read, Failure> {
    client.counters.full_reads.fetch_add(1, Relaxed);
    let mut pages = Pages::new(&client.options.prefix, in_one_piece);
    loop {
        let answer = client.call_for(pages.request(), if in_one_piece { WHOLE } else { LIMIT }).await;
        match answer {
            Err(failure) if failure.meaning() == Meaning::TooLarge && pages.shrink() => {}
            answer => {
                if pages.take(answer?)? {
                    return pages.done();
                }
            }
        }
    }
}

/// A read by pages.
struct Pages {
    prefix: Bytes,
    end: Bytes,
    limit: i64,
    /// What the first page says: the revision of all pages, and how many keys there are.
    first: Option<(ResponseHeader, i64)>,
    kvs: Vec<KeyValue>,
}

impl Pages {
    fn new(prefix: &str, in_one_piece: bool) -> Self {
        Self {
            prefix: Bytes::copy_from_slice(prefix.as_bytes()),
            end: end_of(prefix),
            limit: if in_one_piece { 0 } else { FIRST_PAGE },
            first: None,
            kvs: Vec::new(),
        }
    }

    fn request(&self) -> RangeRequest {
        // The first key behind the last one that is there.
        let next = self.kvs.last().map(|last| [&last.key, &b"\0"[..]].concat().into());
        RangeRequest {
            key: next.unwrap_or_else(|| self.prefix.clone()),
            range_end: self.end.clone(),
            limit: self.limit,
            revision: self.first.map_or(0, |(header, _)| header.revision),
            count_only: false,
        }
    }

    /// Asks for less at once; `false` when it is as little as can be.
    fn shrink(&mut self) -> bool {
        let smaller = (self.limit / 8).max(1);
        let shrinks = smaller < self.limit;
        self.limit = smaller;
        shrinks
    }

    /// Takes a page, and tells whether it was the last.
    fn take(&mut self, page: RangeResponse) -> Result<bool, Failure> {
        let header = page.header.ok_or(Failure::Nonsense("it has no header"))?;
        let (first, _) = *self.first.get_or_insert((header, page.count));
        if header.cluster_id != first.cluster_id || first.revision <= 0 {
            return Err(Failure::Nonsense("its pages are of several stores"));
        }
        let mut last = self.kvs.last().map(|kv| &kv.key);
        for kv in &page.kvs {
            let is_next = last.is_none_or(|last| *last < kv.key);
            if !is_next || !kv.key.starts_with(&self.prefix) {
                return Err(Failure::Nonsense("its keys are out of order"));
            }
            let (created, modified) = (kv.create_revision, kv.mod_revision);
            if created <= 0 || created > modified || modified > first.revision {
                return Err(Failure::Nonsense("an item is of a revision that it cannot have"));
            }
            last = Some(&kv.key);
        }
        let bytes: usize = page.kvs.iter().map(|kv| kv.key.len() + kv.value.len() + 32).sum();
        if self.limit > 0 && !page.kvs.is_empty() {
            let each = (bytes / page.kvs.len()).max(1);
            self.limit = i64::try_from(PAGE_BYTES / each).unwrap_or(LARGEST_PAGE).clamp(1, LARGEST_PAGE);
        }
        if page.more && page.kvs.is_empty() {
            return Err(Failure::Nonsense("it has more, but nothing yet"));
        }
        self.kvs.extend(page.kvs);
        Ok(!page.more)
    }

    fn done(self) -> Result<Read, Failure> {
        let Some((header, count)) = self.first else { return Err(Failure::Nonsense("it has no page")) };
        if usize::try_from(count) != Ok(self.kvs.len()) {
            return Err(Failure::Nonsense("it is not whole"));
        }
        Ok(Read { header, kvs: self.kvs })
    }
}
