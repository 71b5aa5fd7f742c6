//! [`FileSource`]: a declarative document in a file.
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_core::Stream;

use super::document::{Format, Reader};
use super::environment::Environment;
use super::look::{Look, look};
use super::stack::on_deep_stack;
use super::watch;
use crate::gateway::{ConfigSource, SourceError};
use crate::model::{Read, ReadOptions, Snapshot};
use crate::syntax::Bounds;

/// Configuration out of a file, followed live; what the file may be says [the module](crate::config).
///
/// ```no_run
/// use tollgate::config::FileSource;
///
/// let source = FileSource::new("tollgate.yaml");
/// let read = source.load()?;
/// for finding in &read.findings {
///     eprintln!("{finding}");
/// }
/// # Ok::<(), tollgate::gateway::SourceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileSource {
    pub(super) path: PathBuf,
    pub(super) poll: Duration,
    bounds: Bounds,
    options: ReadOptions,
    environment: Environment,
    end_marker: bool,
}

impl FileSource {
    /// How far apart two looks must find the same, for the file to count as complete.
    pub(super) const SETTLE: Duration = Duration::from_millis(50);
    /// How often an empty file must look the same: for a second.
    const EMPTY_LOOKS: u32 = 20;

    /// The document at `path`. JSON for names that end in `.json`, else YAML.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            poll: Duration::from_secs(1),
            bounds: Bounds::default(),
            options: ReadOptions::default(),
            environment: Environment::process(),
            end_marker: false,
        }
    }

    /// How often the file is looked at besides the events of its directory, at least 10 ms. Default 1 s.
    #[must_use]
    pub fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = poll.max(Duration::from_millis(10));
        self
    }

    /// How large the document may be.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// How the document is read.
    #[must_use]
    pub fn with_options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }

    /// Looks variables up here instead of in the process's environment.
    #[must_use]
    pub fn with_environment(mut self, lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.environment = Environment::new(lookup);
        self
    }

    /// Takes YAML only with the last line `#END`, whatever the document says.
    #[must_use]
    pub const fn requiring_end_marker(mut self) -> Self {
        self.end_marker = true;
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file once, for a first start or to validate it. Blocks: for 50 ms at least if nothing says that the
    /// file is complete.
    ///
    /// # Errors
    /// Why there is no configuration in it. Faults of single items are no error here but [`Read::findings`].
    pub fn load(&self) -> Result<Read, SourceError> {
        let (mut look, mut same) = (self.look(None)?, 0);
        while let Some(now) = look {
            if self.is_complete(&now, same) {
                return self.read(&now.bytes);
            }
            thread::sleep(Self::SETTLE);
            look = self.look(None)?;
            same = look.as_ref().map_or(0, |again| now.looks_so_far(same, again));
        }
        self.read(&[])
    }

    /// Reads `bytes` as if the file held them: for text that came another way.
    ///
    /// # Errors
    /// As [`FileSource::load`], but for reading the file.
    pub fn read(&self, bytes: &[u8]) -> Result<Read, SourceError> {
        self.parse(bytes, self.end_marker)
    }

    /// What is in the file, unless it certainly is as it was.
    pub(super) fn look(&self, before: Option<&super::look::Seen>) -> Result<Option<Look>, SourceError> {
        look(&self.path, self.bounds.document_bytes, before)
    }

    /// Whether a look shows a file that nobody is writing: it says so, or it was the `same` in so many looks before.
    pub(super) fn is_complete(&self, look: &Look, same: u32) -> bool {
        // Writing in place begins with an empty file, and the writer may be held up just there.
        let needed = if look.bytes.trim_ascii().is_empty() { Self::EMPTY_LOOKS } else { 1 };
        Format::of(&self.path).is_marked_complete(&look.bytes) || same >= needed
    }

    /// What `bytes` say as JSON, with variables of the environment in their places: for tools that look at a document as it
    /// is written. It is judged no further.
    ///
    /// # Errors
    /// As [`FileSource::read`], when it is no document of its format.
    pub fn document(&self, bytes: &[u8]) -> Result<serde_json::Value, SourceError> {
        self.with_reader(self.end_marker, |reader| reader.document(bytes))
    }

    pub(super) fn parse(&self, bytes: &[u8], end_marker: bool) -> Result<Read, SourceError> {
        self.with_reader(end_marker, |reader| reader.read(bytes))
    }

    fn with_reader<T: Send>(
        &self,
        end_marker: bool,
        read: impl FnOnce(&Reader<'_>) -> Result<T, SourceError> + Send,
    ) -> Result<T, SourceError> {
        let reader = Reader {
            place: &self.path.display().to_string(),
            format: Format::of(&self.path),
            bounds: &self.bounds,
            environment: &self.environment,
            options: &self.options,
            end_marker: self.end_marker || end_marker,
        };
        on_deep_stack(|| read(&reader)).unwrap_or_else(|source| Err(self.unreadable(source)))
    }

    fn unreadable(&self, source: io::Error) -> SourceError {
        SourceError::Read { place: self.path.display().to_string(), source: Arc::new(source) }
    }
}

impl ConfigSource for FileSource {
    /// Yields what the file holds, then whenever that changes. A fault is yielded once, until it changes or goes.
    ///
    /// Reads and parses on tokio's blocking threads; must be polled inside a tokio runtime.
    fn watch(self) -> impl Stream<Item = Result<Snapshot, SourceError>> + Send {
        watch::watch(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(path: &str, first: &str, second: &str) -> (bool, bool) {
        let directory = tempfile::tempdir().unwrap();
        let source = FileSource::new(directory.path().join(path));
        let look = |text: &str| {
            std::fs::write(source.path(), text).unwrap();
            source.look(None).unwrap().expect("it was never looked at")
        };
        let (first, second) = (look(first), look(second));
        (source.is_complete(&first, 0), source.is_complete(&second, first.looks_so_far(0, &second)))
    }

    #[test]
    fn a_file_is_complete_when_it_says_so_or_looked_the_same_twice() {
        for (path, first, second, complete) in [
            ("a.yaml", "routes: []", "routes: []", (false, true)),
            ("a.yaml", "routes: []", "routes: [ ]", (false, false)),
            ("a.yaml", "routes: []\n#END", "services: []\n#END \n", (true, true)),
            ("a.json", "{}", "{}", (false, true)),
            ("a.json", "{} #END", "[] #END", (false, false)),
            ("a.yaml", "", "", (false, false)),
            ("a.yaml", "#END", "\n", (true, false)),
        ] {
            assert_eq!(looks(path, first, second), complete, "{path} {first} {second}");
        }
    }

    #[test]
    fn an_old_unchanged_file_is_not_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let source = FileSource::new(directory.path().join("a.yaml"));
        std::fs::write(source.path(), "a").unwrap();
        let look = source.look(None).unwrap().expect("the first look");
        assert!(source.look(Some(&look.seen)).unwrap().is_some(), "changed a moment ago: times cannot be trusted");
        let old = std::time::SystemTime::now() - Duration::from_secs(60);
        std::fs::File::options().write(true).open(source.path()).unwrap().set_modified(old).unwrap();
        let look = source.look(Some(&look.seen)).unwrap().expect("it has another time");
        assert!(source.look(Some(&look.seen)).unwrap().is_none());
    }
}
