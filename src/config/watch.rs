//! Following a file. There is no task: whoever polls the stream drives the watch, and dropping it ends everything.
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::file::FileSource;
use super::look::{Look, Seen};
use super::share::share;
use crate::gateway::SourceError;
use crate::model::{Places, Snapshot};

/// Follows `source`.
pub(super) fn watch(source: FileSource) -> impl Stream<Item = Result<Snapshot, SourceError>> + Send {
    let path = source.path.clone();
    let watch = Watch {
        source: Arc::new(source),
        events: Events::new(&path),
        seen: None,
        last: None,
        fault: None,
        begun: false,
    };
    Changes { next: Box::pin(watch.next()) }
}

type Next = dyn Future<Output = (Result<Snapshot, SourceError>, Watch)> + Send;

/// Each item is a future that gives the watch back for the next.
struct Changes {
    next: Pin<Box<Next>>,
}

impl Stream for Changes {
    type Item = Result<Snapshot, SourceError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (item, watch) = ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(watch.next());
        Poll::Ready(Some(item))
    }
}

struct Watch {
    source: Arc<FileSource>,
    events: Events,
    /// The last look.
    seen: Option<Seen>,
    /// The last snapshot that was yielded.
    last: Option<Snapshot>,
    /// The last thing that was yielded, if it was a fault, in words.
    fault: Option<String>,
    begun: bool,
}

impl Watch {
    async fn next(mut self) -> (Result<Snapshot, SourceError>, Self) {
        loop {
            if self.begun {
                self.events.wait(self.source.poll).await;
            }
            self.begun = true;
            match self.look().await {
                Ok(None) => {}
                Ok(Some(snapshot)) => {
                    // After a fault even the old content is news.
                    if self.fault.take().is_some() || self.last.as_ref() != Some(&snapshot) {
                        // What it is compared with later needs no text.
                        self.last = Some(Snapshot { places: Places::default(), ..snapshot.clone() });
                        return (Ok(snapshot), self);
                    }
                }
                Err(error) => {
                    let fault = error.to_string();
                    if self.fault.as_ref() != Some(&fault) {
                        self.fault = Some(fault);
                        return (Err(error), self);
                    }
                }
            }
        }
    }

    /// A snapshot, if the file has other content than at the last look, or was gone meanwhile.
    async fn look(&mut self) -> Result<Option<Snapshot>, SourceError> {
        let before = self.seen.take();
        let Some(mut look) = self.read(before.clone()).await? else {
            self.seen = before;
            return Ok(None);
        };
        if before.is_some_and(|before| before.is_same_content(&look.seen)) {
            self.seen = Some(look.seen);
            return Ok(None);
        }
        let mut same = 0;
        while !self.source.is_complete(&look, same) {
            sleep(FileSource::SETTLE).await;
            let Some(again) = self.read(None).await? else { return Ok(None) };
            same = look.looks_so_far(same, &again);
            look = again;
        }
        self.seen = Some(look.seen);
        self.parse(look.bytes).await.map(Some)
    }

    async fn read(&self, before: Option<Seen>) -> Result<Option<Look>, SourceError> {
        let source = Arc::clone(&self.source);
        self.blocking(move || source.look(before.as_ref())).await
    }

    async fn parse(&self, bytes: Vec<u8>) -> Result<Snapshot, SourceError> {
        let source = Arc::clone(&self.source);
        let last = self.last.clone();
        // A file that is cut off may lack the setting: what held until now holds for it.
        let end_marker = last.as_ref().is_some_and(|last| last.settings.require_end_marker);
        self.blocking(move || {
            let snapshot = source.parse(&bytes, end_marker)?.snapshot;
            Ok(match &last {
                Some(last) => share(snapshot, last),
                None => snapshot,
            })
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        spawn_blocking(work).await.unwrap_or_else(|error| {
            Err(SourceError::Watch { place: self.source.path.display().to_string(), message: error.to_string() })
        })
    }
}

/// Events of the directory that a file is in. They only make the next look earlier, so where none can be had (a
/// directory that is not there yet, a full table of watches) the poll is enough.
struct Events {
    directory: PathBuf,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
}

impl Events {
    fn new(path: &Path) -> Self {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).to_owned();
        let mut events = Self { directory, changed: Arc::default(), watcher: None };
        events.begin();
        events
    }

    fn begin(&mut self) {
        let changed = Arc::clone(&self.changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if is_news(&event) {
                changed.notify_one();
            }
        });
        self.watcher = watcher.ok().and_then(|mut watcher| {
            let watched = watcher.watch(&self.directory, RecursiveMode::NonRecursive);
            watched.is_ok().then_some(watcher)
        });
    }

    /// Waits for an event, but not longer than `poll`.
    async fn wait(&mut self, poll: Duration) {
        if timeout(poll, self.changed.notified()).await.is_err() && self.watcher.is_none() {
            self.begin();
        }
    }
}

/// Whether an event can mean other content: our own reading makes events too.
fn is_news(event: &notify::Result<Event>) -> bool {
    let kind = event.as_ref().map(|event| event.kind);
    !matches!(kind, Ok(EventKind::Access(access)) if access != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests {
    use notify::event::{ModifyKind, RenameMode};

    use super::*;

    #[test]
    fn nothing_outlives_the_stream() {
        let directory = tempfile::tempdir().unwrap();
        let events = Events::new(&directory.path().join("a.yaml"));
        assert!(events.watcher.is_some());
        let changed = Arc::downgrade(&events.changed);
        drop(events);
        // The watcher's thread holds it until it ends.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while changed.upgrade().is_some() {
            assert!(std::time::Instant::now() < deadline, "the watcher still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn reading_makes_no_noise() {
        let is_news = |kind| is_news(&Ok(Event::new(kind)));
        assert!(!is_news(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_news(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(is_news(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_news(EventKind::Modify(ModifyKind::Name(RenameMode::To))));
        assert!(super::is_news(&Err(notify::Error::generic("the queue ran over"))));
    }
}
