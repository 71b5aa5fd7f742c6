//! [`DiskStore`].
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::fault;
use super::file::DatabaseFile;
use super::writer::{Answer, Request, Writer};
use crate::store::shared::Shared;
use crate::store::table::Table;
use crate::store::{Change, Committed, HistoryBounds, Loaded, NewsStream, Store, StoreError, StoreFuture, Transaction};

/// A store in one file of this machine, which one process at a time can have open.
///
/// What a commit was answered for is on the disk: neither a crash of the process nor one of the machine takes it back, and
/// none leaves half of a transaction. All items and the remembered changes are in memory as well, so that reading costs no
/// access to the disk. Commits that wait at the same time are written down together.
pub struct DiskStore {
    place: Arc<str>,
    path: PathBuf,
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl DiskStore {
    /// Opens a store, or makes an empty one, at revision 0, readable for its owner alone. Changes are remembered within the
    /// default bounds. Blocks while the file is read and checked, or repaired after a crash.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the file cannot be used (in use by another process, no permission, read-only, no space)
    /// and [`StoreError::Corrupt`] when it is damaged or no store; the file is left as it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, HistoryBounds::default())
    }

    /// The same with other bounds of what is remembered of past changes, but never less than 1,024 changes and 16 MiB,
    /// which watches live on.
    ///
    /// # Errors
    /// As [`DiskStore::open`].
    pub fn open_with(path: impl AsRef<Path>, bounds: HistoryBounds) -> Result<Self, StoreError> {
        let bounds = HistoryBounds { changes: bounds.changes.max(1024), bytes: bounds.bytes.max(16 << 20) };
        let path = path.as_ref().to_owned();
        let place = fault::place(&path);
        let (file, contents) = DatabaseFile::open(&path)?;
        let table = Table::restored(bounds, contents.revision, contents.slots, contents.changes);
        let shared = Shared::new(table, None);
        let writer =
            Writer { place: place.clone(), shared: shared.clone(), bounds, file: Some(file), path: path.clone() };
        let (sender, receiver) = channel();
        let thread = thread::Builder::new()
            .name("tollgate-store".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| fault::unavailable(&place, format!("its thread cannot be started: {error}")))?;
        Ok(Self { place, path, shared, requests: Some(sender), thread: Some(thread) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file as small as it can be. Commits wait meanwhile. Seldom needed: space is used again, and a file that is
    /// mostly empty is compacted when it is opened.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn compact(&self) -> Result<(), StoreError> {
        self.ask(Request::Compact).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let gone = || fault::unavailable(&self.place, "its thread has ended: restart the process");
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(request(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Store for DiskStore {
    fn place(&self) -> Arc<str> {
        self.place.clone()
    }

    fn load(&self) -> StoreFuture<'_, Loaded> {
        Box::pin(async { Ok(self.shared.with(|table| table.load())) })
    }

    fn watch(&self, from: u64) -> NewsStream {
        self.shared.watch(from)
    }

    fn commit(&self, transaction: Transaction) -> StoreFuture<'_, Committed> {
        Box::pin(self.ask(|answer| Request::Commit(transaction, answer)))
    }

    fn changes(&self) -> Vec<Arc<Change>> {
        self.shared.with(|table| table.changes().cloned().collect())
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Waits until the file is closed, so that it can be opened again: at most for the commits that are under way.
impl Drop for DiskStore {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // a panic of the thread was told to all that asked
            _ = thread.join();
        }
    }
}
