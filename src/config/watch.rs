//! Following a file. There is no task: whoever polls the stream drives the watch, and dropping it ends everything.
use std::fs;
use std::future::Future;
use std::path::{Component, Path, PathBuf};
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
    file: PathBuf,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
}

impl Events {
    fn new(path: &Path) -> Self {
        let mut events = Self { file: path.to_owned(), changed: Arc::default(), watcher: None };
        events.begin();
        events
    }

    fn begin(&mut self) {
        let (changed, file) = (Arc::clone(&self.changed), self.file.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if is_news(&event, &file) {
                changed.notify_one();
            }
        });
        let parent = self.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        self.watcher = watcher.ok().and_then(|mut watcher| {
            let watched = watcher.watch(directory, RecursiveMode::NonRecursive);
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

/// Whether an event can mean other content of `file`: our own reading makes events too, and so do the other files of its
/// directory.
fn is_news(event: &notify::Result<Event>, file: &Path) -> bool {
    match event {
        Ok(Event { kind: EventKind::Access(access), .. }) if *access != AccessKind::Close(AccessMode::Write) => false,
        Ok(event) => event.paths.is_empty() || event.paths.iter().any(|changed| leads_to(changed, file)),
        Err(_) => true,
    }
}

/// Links that are followed, about as many as the system follows.
const MOST_LINKS: usize = 40;

/// Whether `changed`, in the directory of `file`, is on the way to its content: the file itself, or what its links lead
/// through, as `..data` in a mounted ConfigMap. A way that is not recognised is left to the poll.
fn leads_to(changed: &Path, file: &Path) -> bool {
    let (Some(name), Some(directory)) = (changed.file_name(), file.parent()) else { return true };
    let mut at = file.to_owned();
    for _ in 0..MOST_LINKS {
        let inside = at.strip_prefix(directory).ok().and_then(|rest| rest.components().next());
        if inside == Some(Component::Normal(name)) {
            return true;
        }
        let (Ok(target), Some(parent)) = (fs::read_link(&at), at.parent()) else { return false };
        at = parent.join(target);
    }
    true
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
        let file = Path::new("/etc/tollgate/a.yaml");
        let is_news = |kind| is_news(&Ok(Event::new(kind).add_path(file.to_owned())), file);
        assert!(!is_news(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_news(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(is_news(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_news(EventKind::Modify(ModifyKind::Name(RenameMode::To))));
        assert!(super::is_news(&Err(notify::Error::generic("the queue ran over")), file));
        assert!(super::is_news(&Ok(Event::new(EventKind::Other)), file), "what may be about anything");
    }

    #[test]
    fn other_files_of_the_directory_are_no_news() {
        let written = |changed: &str, file: &str| {
            let event = Event::new(EventKind::Access(AccessKind::Close(AccessMode::Write)));
            is_news(&Ok(event.add_path(changed.into())), Path::new(file))
        };
        assert!(written("/etc/tollgate/a.yaml", "/etc/tollgate/a.yaml"));
        assert!(!written("/etc/tollgate/access.log", "/etc/tollgate/a.yaml"));
        assert!(written("./a.yaml", "a.yaml"));
        assert!(!written("./access.log", "a.yaml"));
    }

    /// A mounted ConfigMap: the file is a link through `..data`, and that one is swapped.
    #[cfg(unix)]
    #[tokio::test]
    async fn what_links_lead_through_is_news() {
        use std::os::unix::fs::symlink;

        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a.yaml"), version).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        symlink(at("a.yaml"), at("b.yaml")).unwrap();
        let file = at("b.yaml");
        for (name, leads) in [("b.yaml", true), ("a.yaml", true), ("..data", true), ("..1", false), ("c.yaml", false)] {
            assert_eq!(leads_to(&at(name), &file), leads, "{name}");
        }
        let events = Events::new(&file);
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        timeout(Duration::from_secs(20), events.changed.notified()).await.expect("the swap is seen");
        assert_eq!(fs::read_to_string(&file).unwrap(), "..2");
        symlink("b.yaml", at("round")).unwrap();
        fs::remove_file(&file).unwrap();
        symlink("round", &file).unwrap();
        assert!(leads_to(&at("c.yaml"), &file), "a ring has an end");
    }
}
