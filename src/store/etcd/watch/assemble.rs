//! From the answers of a watch to news. No network in here.
use std::collections::BTreeMap;
use std::time::SystemTime;

use super::super::super::{Batch, Entry, Event, Key, News};
use super::super::load::{item, key};
use super::super::message::{self, EventType, WatchResponse};

/// Bytes of one answer in parts, beyond which it is no answer.
const LARGEST: usize = 1 << 30;

/// What one revision changed. A key has one change: etcd refuses one that stands twice in a transaction, and if it did
/// not, the last would count.
type Changes = BTreeMap<Key, Option<Entry>>;

/// Puts answers together, and knows what has to come next.
#[derive(Debug)]
pub(super) struct Assembler {
    prefix: Vec<u8>,
    /// The first revision that was not told yet.
    next: i64,
    /// The parts of an answer whose rest has not come.
    parts: Vec<message::Event>,
    bytes: usize,
}

/// The answers contradict what was told: something was lost, comes again or out of order, or the store is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disorder;

impl Assembler {
    pub(super) fn new(prefix: &str, from: u64) -> Self {
        // 0 would be `now` for etcd.
        let next = i64::try_from(from).unwrap_or(i64::MAX).max(1);
        Self { prefix: prefix.as_bytes().to_vec(), next, parts: Vec::new(), bytes: 0 }
    }

    /// The first revision that was not told yet: where a watch goes on.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Forgets what has come of an answer: its rest does not come any more.
    pub(super) fn restart(&mut self) {
        self.parts = Vec::new();
        self.bytes = 0;
    }

    /// Takes an answer with events, and gives what it tells: one batch for each revision. etcd never divides a revision
    /// among answers, other than among the parts of one.
    pub(super) fn take(&mut self, answer: WatchResponse) -> Result<Vec<News>, Disorder> {
        let size = |event: &message::Event| event.kv.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len());
        self.bytes += answer.events.iter().map(size).sum::<usize>();
        self.parts.extend(answer.events);
        if answer.fragment {
            return if self.bytes > LARGEST { Err(Disorder) } else { Ok(Vec::new()) };
        }
        self.bytes = 0;
        let mut news = Vec::new();
        let mut events = std::mem::take(&mut self.parts).into_iter().peekable();
        while let Some(first) = events.peek().and_then(|event| event.kv.as_ref()) {
            let revision = first.mod_revision;
            if revision < self.next {
                return Err(Disorder);
            }
            let next = revision.checked_add(1).ok_or(Disorder)?;
            let mut changes = Changes::new();
            while let Some(event) = events.next_if(|event| of(event) == Some(revision)) {
                self.add(&mut changes, event);
            }
            self.next = next;
            news.push(told(revision, changes));
        }
        // An event without a key.
        if events.next().is_some() { Err(Disorder) } else { Ok(news) }
    }

    fn add(&self, changes: &mut Changes, event: message::Event) {
        let Some(kv) = event.kv else { return };
        let change = if event.r#type == i32::from(EventType::Delete) {
            key(&self.prefix, &kv).map(|key| (key, None))
        } else {
            item(&self.prefix, &kv).map(|(key, entry)| (key, Some(entry)))
        };
        changes.extend(change);
    }

    /// Takes word that everything up to this revision was told on this stream.
    pub(super) fn progress(&mut self, revision: i64) -> Result<Option<News>, Disorder> {
        if revision < self.next - 1 {
            return Err(Disorder);
        }
        if revision == self.next - 1 || !self.parts.is_empty() {
            return Ok(None);
        }
        self.next = revision.checked_add(1).ok_or(Disorder)?;
        Ok(Some(News::Progress(revision.unsigned_abs())))
    }
}

fn of(event: &message::Event) -> Option<i64> {
    event.kv.as_ref().map(|kv| kv.mod_revision)
}

/// A revision that changed nothing but what is no item is told, too: the next watch goes on behind it.
fn told(revision: i64, changes: Changes) -> News {
    let revision = revision.unsigned_abs();
    if changes.is_empty() {
        return News::Progress(revision);
    }
    let events = changes.into_iter().map(|(key, entry)| Event { key, entry }).collect();
    News::Batch(Batch { revision, at: SystemTime::now(), by: None, events })
}

#[cfg(test)]
mod tests {
    use super::super::super::message::KeyValue;
    use super::*;

    fn put(key: &str, revision: i64) -> message::Event {
        let kv = KeyValue {
            key: format!("/apisix/{key}").into(),
            create_revision: 1,
            mod_revision: revision,
            value: "{}".into(),
        };
        message::Event { r#type: EventType::Put.into(), kv: Some(kv) }
    }

    fn delete(key: &str, revision: i64) -> message::Event {
        let kv = KeyValue { key: format!("/apisix/{key}").into(), mod_revision: revision, ..KeyValue::default() };
        message::Event { r#type: EventType::Delete.into(), kv: Some(kv) }
    }

    fn answer(events: Vec<message::Event>) -> WatchResponse {
        WatchResponse { events, ..WatchResponse::default() }
    }

    fn part(events: Vec<message::Event>) -> WatchResponse {
        WatchResponse { fragment: true, ..answer(events) }
    }

    fn text(news: &[News]) -> String {
        let one = |news: &News| match news {
            News::Batch(batch) => {
                let sign = |event: &Event| if event.entry.is_some() { '+' } else { '-' };
                let events = batch.events.iter().map(|event| format!("{}{}", sign(event), event.key));
                format!("{}: {}", batch.revision, events.collect::<Vec<_>>().join(" "))
            }
            News::Progress(revision) => format!("{revision}"),
            News::Compacted => "compacted".to_owned(),
        };
        news.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn each_revision_is_one_batch_and_what_is_no_item_is_progress() {
        let mut assembler = Assembler::new("/apisix/", 5);
        let events = vec![
            put("routes/1", 5),
            delete("upstreams/1", 5),
            put("gen_id", 6),
            put("routes/", 6),
            put("routes/2", 9),
            put("routes/3", 9),
        ];
        let news = assembler.take(answer(events)).unwrap();
        assert_eq!(text(&news), "5: +routes/1 -upstreams/1, 6, 9: +routes/2 +routes/3");
        assert_eq!(assembler.next(), 10);
    }

    #[test]
    fn parts_are_told_once_the_last_has_come() {
        let mut assembler = Assembler::new("/apisix/", 5);
        assert_eq!(text(&assembler.take(part(vec![put("routes/1", 5)])).unwrap()), "");
        assert_eq!(assembler.progress(7).map(|news| news.is_none()), Ok(true), "a part is no progress");
        assert_eq!(assembler.next(), 5);
        assert_eq!(text(&assembler.take(part(vec![put("routes/2", 5)])).unwrap()), "");
        let news = assembler.take(answer(vec![put("routes/3", 5), put("routes/3", 6)])).unwrap();
        assert_eq!(text(&news), "5: +routes/1 +routes/2 +routes/3, 6: +routes/3");

        assert_eq!(text(&assembler.take(part(vec![put("routes/4", 7)])).unwrap()), "");
        assembler.restart();
        let news = assembler.take(answer(vec![put("routes/4", 7), put("routes/5", 7)])).unwrap();
        assert_eq!(text(&news), "7: +routes/4 +routes/5");
    }

    #[test]
    fn what_was_told_and_what_goes_back_is_disorder() {
        let mut assembler = Assembler::new("/apisix/", 5);
        assert_eq!(assembler.take(answer(vec![put("routes/1", 4)])).unwrap_err(), Disorder);
        let mut assembler = Assembler::new("/apisix/", 5);
        assert_eq!(assembler.take(answer(vec![put("routes/1", 7), put("routes/1", 6)])).unwrap_err(), Disorder);
        let mut assembler = Assembler::new("/apisix/", 5);
        assembler.take(answer(vec![put("routes/1", 5)])).unwrap();
        assert_eq!(
            assembler.take(answer(vec![put("routes/2", 5)])).unwrap_err(),
            Disorder,
            "half a revision came later"
        );
        let mut assembler = Assembler::new("/apisix/", 5);
        assert_eq!(
            assembler.take(answer(vec![put("routes/1", i64::MAX)])).unwrap_err(),
            Disorder,
            "nothing follows it"
        );
        assert_eq!(assembler.progress(i64::MAX).unwrap_err(), Disorder);
        let mut assembler = Assembler::new("/apisix/", 5);
        let nothing = message::Event { r#type: 0, kv: None };
        assert_eq!(assembler.take(answer(vec![nothing])).unwrap_err(), Disorder);
    }

    #[test]
    fn progress_moves_on_and_never_back() {
        let mut assembler = Assembler::new("/apisix/", 5);
        assert!(assembler.progress(4).unwrap().is_none(), "nothing new");
        assert!(matches!(assembler.progress(8), Ok(Some(News::Progress(8)))));
        assert_eq!(assembler.next(), 9);
        assert_eq!(assembler.progress(7).unwrap_err(), Disorder);
    }
}
