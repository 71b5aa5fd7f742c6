//! [`DatabaseFile`]: the layout of the file, and reading and writing it.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format`, `revision` | number |
//! | `items` | the item's key | created, modified, when it runs out (Unix milliseconds; 0: never), JSON text |
//! | `changes` | revision | the change, as in `record.rs` |
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _};

use super::fault;
use crate::store::record::{Reader, Writer, millis};
use crate::store::table::{Drafted, Slot};
use crate::store::{Change, Entry, Key, StoreError};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const ITEMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("items");
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");

/// The layout above.
const FORMAT: u64 = 1;

/// What redb keeps of the file in memory. All items are in memory beside it, so it is for writing only.
const CACHE: usize = 16 << 20;

/// A larger file is compacted when it is opened, if no more than a quarter of it is in use.
const COMPACT_ABOVE: u64 = 16 << 20;

/// An open database.
pub(super) struct DatabaseFile {
    path: PathBuf,
    place: Arc<str>,
    database: Database,
    /// Changes below this revision are not in the file.
    oldest: u64,
}

/// All that a file has.
pub(super) struct Contents {
    pub(super) revision: u64,
    pub(super) slots: BTreeMap<Key, Slot>,
    pub(super) changes: Vec<Change>,
}

impl DatabaseFile {
    /// Opens a file, or makes it: for its owner alone.
    pub(super) fn open(path: &Path) -> Result<(Self, Contents), StoreError> {
        let place = fault::place(path);
        let told = |error: redb::Error| fault::told(&place, error);
        create(path).map_err(|error| fault::system(&place, &error))?;
        // a damaged file is refused here and not found later
        let database = Database::builder()
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(true)
            .create(path)
            .map_err(|error| told(error.into()))?;
        check_owner(&database, &place)?;
        let mut file = Self { path: path.to_owned(), place: place.clone(), database, oldest: 0 };
        file.compact_if_sparse().map_err(told)?;
        let contents = file.read()?;
        file.oldest = contents.changes.first().map_or(contents.revision + 1, |change| change.revision);
        Ok((file, contents))
    }

    /// Writes down what was drafted, and forgets changes below `oldest`. It is on the disk when this returns.
    pub(super) fn write(&mut self, drafted: &Drafted, revision: u64, oldest: u64) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut items = transaction.open_table(ITEMS)?;
            for (key, slot) in &drafted.slots {
                match slot {
                    Some(slot) => drop(items.insert(key.as_str(), encode(slot).as_slice())?),
                    None => drop(items.remove(key.as_str())?),
                }
            }
            let mut changes = transaction.open_table(CHANGES)?;
            for change in &drafted.changes {
                let mut writer = Writer::default();
                writer.change(change);
                changes.insert(change.revision, writer.0.as_slice())?;
            }
            for revision in self.oldest..oldest {
                changes.remove(revision)?;
            }
            transaction.open_table(META)?.insert("revision", revision)?;
        }
        // redb's default is to return when all is on the disk, by one fsync
        transaction.commit()?;
        self.oldest = self.oldest.max(oldest);
        Ok(())
    }

    /// Gives what is not in use back to the file system.
    pub(super) fn compact(&mut self) -> Result<(), redb::Error> {
        self.database.compact()?;
        Ok(())
    }

    fn compact_if_sparse(&mut self) -> Result<(), redb::Error> {
        let size = fs::metadata(&self.path)?.len();
        if size <= COMPACT_ABOVE {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        let stats = transaction.stats()?;
        transaction.abort()?;
        if stats.stored_bytes() + stats.metadata_bytes() < size / 4 { self.compact() } else { Ok(()) }
    }

    fn read(&self) -> Result<Contents, StoreError> {
        let told = |error: redb::Error| fault::told(&self.place, error);
        let damaged = |what: &str, key: &dyn std::fmt::Display| {
            fault::corrupt(&self.place, format_args!("the {what} {key} cannot be read"))
        };
        let transaction = self.database.begin_read().map_err(|error| told(error.into()))?;
        let revision = transaction.open_table(META).map_err(|error| told(error.into()))?;
        let revision = revision.get("revision").map_err(|error| told(error.into()))?.map_or(0, |found| found.value());
        let mut slots = BTreeMap::new();
        let items = transaction.open_table(ITEMS).map_err(|error| told(error.into()))?;
        for item in items.iter().map_err(|error| told(error.into()))? {
            let (key, value) = item.map_err(|error| told(error.into()))?;
            let slot = Key::parse(key.value()).zip(decode(value.value()));
            let (key, slot) = slot.ok_or_else(|| damaged("item", &key.value()))?;
            slots.insert(key, slot);
        }
        let mut read = Vec::new();
        let changes = transaction.open_table(CHANGES).map_err(|error| told(error.into()))?;
        for change in changes.iter().map_err(|error| told(error.into()))? {
            let (key, value) = change.map_err(|error| told(error.into()))?;
            let change = Reader(value.value()).change().filter(|change| change.revision == key.value());
            read.push(change.ok_or_else(|| damaged("change", &key.value()))?);
        }
        Ok(Contents { revision, slots, changes: read })
    }
}

/// Makes a file that only its owner may read, if there is none, and sees to it that its name lasts.
fn create(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

/// Refuses a database that is not a store's, and makes an empty one a store's.
fn check_owner(database: &Database, place: &Arc<str>) -> Result<(), StoreError> {
    let told = |error: redb::Error| fault::told(place, error);
    let format = || -> Result<(Option<u64>, bool), redb::Error> {
        let transaction = database.begin_read()?;
        let ours = transaction.list_tables()?.any(|table| table.name() == META.name());
        let others = transaction.list_tables()?.count() + transaction.list_multimap_tables()?.count() > 0;
        let format = match ours {
            true => transaction.open_table(META)?.get("format")?.map(|format| format.value()),
            false => None,
        };
        Ok((format, others))
    };
    match format().map_err(told)? {
        (Some(FORMAT), _) => Ok(()),
        (Some(format), _) => {
            let message =
                format!("has format {format}, and this version knows {FORMAT}: use the version that wrote it");
            Err(StoreError::Corrupt { place: place.clone(), message })
        }
        (None, true) => Err(fault::foreign(place)),
        (None, false) => {
            let begin = || -> Result<(), redb::Error> {
                let transaction = database.begin_write()?;
                transaction.open_table(META)?.insert("format", FORMAT)?;
                transaction.open_table(ITEMS)?;
                transaction.open_table(CHANGES)?;
                Ok(transaction.commit()?)
            };
            begin().map_err(told)
        }
    }
}

fn encode(slot: &Slot) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(24 + slot.entry.value.len()));
    writer.number(slot.entry.created);
    writer.number(slot.entry.modified);
    // 0 is taken: what runs out in the first millisecond of 1970 runs out in the second
    writer.number(slot.expires.map_or(0, |at| millis(at).max(1)));
    writer.0.extend_from_slice(&slot.entry.value);
    writer.0
}

fn decode(bytes: &[u8]) -> Option<Slot> {
    let mut reader = Reader(bytes);
    let (created, modified, expires) = (reader.number()?, reader.number()?, reader.number()?);
    let entry = Arc::new(Entry { value: Bytes::copy_from_slice(reader.0), created, modified });
    Some(Slot { entry, expires: (expires != 0).then(|| Duration::from_millis(expires)) })
}
