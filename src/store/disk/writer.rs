//! The thread that writes.
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use super::fault;
use super::file::DatabaseFile;
use crate::store::shared::Shared;
use crate::store::table::{Draft, Drafted, Now, Table};
use crate::store::{Committed, Edit, HistoryBounds, StoreError, Transaction};

/// How many transactions are written down together at most.
const GROUP: usize = 1024;

/// How many bytes of values end a group.
const GROUP_BYTES: usize = 8 << 20;

/// The longest sleep: a clock that is set is noticed after it.
const LONGEST: Duration = Duration::from_secs(60);

/// What the thread is asked for.
pub(super) enum Request {
    Commit(Transaction, Answer<Committed>),
    Compact(Answer<()>),
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// The thread's own.
pub(super) struct Writer {
    pub(super) place: Arc<str>,
    pub(super) shared: Arc<Shared>,
    pub(super) bounds: HistoryBounds,
    /// `None` after an error, until it can be opened again.
    pub(super) file: Option<DatabaseFile>,
    pub(super) path: PathBuf,
}

/// Ends the watches when the thread ends, however that comes about.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Writer {
    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        let _closing = Closing(self.shared.clone());
        loop {
            let expiry = self.shared.with(|table| table.next_expiry());
            let wait = expiry.map_or(LONGEST, |at| at.saturating_sub(now().elapsed).min(LONGEST));
            let mut group = Vec::new();
            match requests.recv_timeout(wait) {
                Ok(request) => self.gather(request, requests, &mut group),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let over = self.shared.with(|table| table.next_expiry().is_some_and(|at| at <= now().elapsed));
            if over || !group.is_empty() {
                self.commit(group);
            }
        }
    }

    /// Takes what else waits. A compaction is made at once: it changes nothing that anybody sees.
    fn gather(
        &mut self,
        first: Request,
        requests: &Receiver<Request>,
        group: &mut Vec<(Transaction, Answer<Committed>)>,
    ) {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Commit(transaction, answer) => {
                    bytes += transaction.edits.iter().map(size).sum::<usize>();
                    group.push((transaction, answer));
                }
                Request::Compact(answer) => {
                    let compacted = self.with_file(|file| file.compact());
                    _ = answer.send(compacted);
                }
            }
            next = if group.len() < GROUP && bytes < GROUP_BYTES { requests.try_recv().ok() } else { None };
        }
    }

    /// Judges, writes down, makes and answers, in this order.
    fn commit(&mut self, group: Vec<(Transaction, Answer<Committed>)>) {
        let (drafted, oldest, taken) = self.shared.with(|table| {
            let mut draft = Draft::new(table, now());
            let taken: Vec<_> = group.iter().map(|(transaction, _)| draft.take(transaction)).collect();
            (draft.finish(), table.oldest(), taken)
        });
        let written = self.write(drafted, oldest);
        for ((_, answer), taken) in group.into_iter().zip(taken) {
            let answered = match (taken, &written) {
                // what was judged by changes that did not take place was judged by nothing
                (_, Err(error)) => Err(error.clone()),
                (Ok(revision), Ok(())) => Ok(Committed { revision }),
                (Err(refusal), Ok(())) => Err(refusal.at(&self.place)),
            };
            _ = answer.send(answered);
        }
    }

    fn write(&mut self, drafted: Drafted, oldest: u64) -> Result<(), StoreError> {
        let Some(revision) = drafted.changes.last().map(|change| change.revision) else { return Ok(()) };
        self.with_file(|file| file.write(&drafted, revision, oldest))?;
        self.shared.with(|table| table.accept(drafted));
        Ok(())
    }

    /// Works on the file. redb does not go on after an error: the file is opened again, now or when it is next needed,
    /// and what it has then counts.
    fn with_file(&mut self, work: impl FnOnce(&mut DatabaseFile) -> Result<(), redb::Error>) -> Result<(), StoreError> {
        if self.file.is_none() && !self.open()? {
            // what was drafted was drafted without what the file turned out to have
            return Err(fault::unavailable(&self.place, "was opened again after an error: read anew, and try again"));
        }
        let Some(file) = &mut self.file else { return Err(fault::unavailable(&self.place, "is not open")) };
        let Err(error) = work(file) else { return Ok(()) };
        let told = fault::told(&self.place, error);
        self.file = None;
        match self.open() {
            Ok(true) => Err(told),
            // it was written after all, or that cannot be told now
            Ok(false) | Err(_) => Err(StoreError::Unavailable { place: self.place.clone(), message: message(told) }),
        }
    }

    /// Opens the file, takes over what it has, and tells whether that is what was known.
    fn open(&mut self) -> Result<bool, StoreError> {
        let (file, contents) = DatabaseFile::open(&self.path)?;
        self.file = Some(file);
        let table = Table::restored(self.bounds, contents.revision, contents.slots, contents.changes);
        Ok(self.shared.with(|known| {
            let same = known.revision() == table.revision();
            if !same {
                *known = table;
            }
            same
        }))
    }
}

fn message(error: StoreError) -> String {
    match error {
        StoreError::Unavailable { message, .. }
        | StoreError::Refused { message, .. }
        | StoreError::Corrupt { message, .. } => message,
        StoreError::Conflict => error.to_string(),
    }
}

fn size(edit: &Edit) -> usize {
    match edit {
        Edit::Put { value, .. } => value.len(),
        Edit::Delete { .. } => 0,
    }
}

/// What runs out on the disk runs out by the clock on the wall.
fn now() -> Now {
    let at = SystemTime::now();
    Now { elapsed: at.duration_since(UNIX_EPOCH).unwrap_or_default(), at }
}
