//! How items and changes are written to files: numbers little-endian, texts behind their length. The files say a version.
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::{Change, Edited, Entry, Key};

/// What is written.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn time(&mut self, at: SystemTime) {
        self.number(at.duration_since(UNIX_EPOCH).map_or(0, millis));
    }

    pub(super) fn entry(&mut self, entry: &Entry) {
        self.number(entry.created);
        self.number(entry.modified);
        self.bytes(&entry.value);
    }

    pub(super) fn change(&mut self, change: &Change) {
        self.number(change.revision);
        self.time(change.at);
        self.optional(change.by.as_deref(), |writer, by| writer.bytes(by.as_bytes()));
        self.number(change.edits.len() as u64);
        for edit in &change.edits {
            self.bytes(edit.key.as_str().as_bytes());
            self.optional(edit.before.as_deref(), Self::entry);
            self.optional(edit.after.as_deref(), Self::entry);
        }
    }
}

/// What is read back. Each method is `None` when the bytes end too early, or are not what was written.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(super) fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        let (is_some, rest) = self.0.split_first()?;
        self.0 = rest;
        match is_some {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    pub(super) fn time(&mut self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.number()?))
    }

    pub(super) fn key(&mut self) -> Option<Key> {
        Key::parse(self.text()?)
    }

    pub(super) fn entry(&mut self) -> Option<Entry> {
        let (created, modified) = (self.number()?, self.number()?);
        Some(Entry { value: Bytes::copy_from_slice(self.bytes()?), created, modified })
    }

    pub(super) fn change(&mut self) -> Option<Change> {
        let (revision, at) = (self.number()?, self.time()?);
        let by = self.optional(|reader| reader.text().map(Arc::from))?;
        let edited = |reader: &mut Self| {
            let key = reader.key()?;
            let before = reader.optional(|reader| reader.entry().map(Arc::new))?;
            Some(Edited { key, before, after: reader.optional(|reader| reader.entry().map(Arc::new))? })
        };
        let edits = self.list(edited)?;
        Some(Change { revision, at, by, edits })
    }

    /// As many as a number says. Nothing is reserved by what the number claims.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.number()?).map(|_| read(self)).collect()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whole milliseconds, as many as fit.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_and_cut_ones_do_not() {
        let entry = |value: &'static str| Some(Arc::new(Entry { value: value.into(), created: 3, modified: 7 }));
        let key = |text| Key::parse(text).unwrap();
        let change = Change {
            revision: 7,
            at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            by: Some("somebody".into()),
            edits: vec![
                Edited { key: key("routes/1"), before: None, after: entry("new") },
                Edited { key: key("plugins"), before: entry("old"), after: None },
                Edited { key: key("routes/2"), before: entry(""), after: entry("{}") },
            ],
        };
        let mut writer = Writer::default();
        writer.change(&change);
        let written = writer.0;
        let mut reader = Reader(&written);
        assert_eq!(reader.change(), Some(change));
        assert!(reader.is_at_end());
        for length in 0..written.len() {
            assert_eq!(Reader(&written[..length]).change(), None, "{length}");
        }
        assert_eq!(Reader(&[0xff; 64]).change(), None);
    }
}
