//! Every write leaves a line: who, what, with what outcome (security.md ADM-05).
use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Lines that may wait to be written.
const QUEUE: usize = 65_536;

/// Where the audit log goes.
pub trait AuditSink: Send + Sync + 'static {
    /// Takes one record, a JSON object without a line break. It must not block: it is called where requests are served.
    fn record(&self, line: &str);
}

/// What became of a write. Nothing in it is a secret: `before` and `after` are digests of the items as a viewer sees them.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    /// When, in milliseconds of Unix time.
    pub(super) at_ms: u64,
    /// The name of the key; missing where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<IpAddr>,
    pub(super) method: &'a str,
    /// Without the query, which may have a key in it.
    pub(super) path: &'a str,
    pub(super) dry_run: bool,
    pub(super) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<ChangeOf>,
}

/// What became of one item.
#[derive(Debug, Serialize)]
pub(super) struct ChangeOf {
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Lines of JSON into a file or another writer, by a thread of its own. When more than 65,536 wait, further ones are lost
/// and counted; a line `{"lost":n}` tells as soon as there is room. When the last clone is dropped, what waits is written and the
/// thread ends.
#[derive(Clone)]
pub struct AuditLog(Arc<Inner>);

struct Inner {
    /// Taken when the thread is to end.
    queue: Option<SyncSender<String>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    lost: Arc<AtomicU64>,
}

impl AuditLog {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn to(writer: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        let thread = std::thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || write_all(writer, &receiver, &counter))?;
        Ok(Self(Arc::new(Inner { queue: Some(sender), thread: Mutex::new(Some(thread)), lost })))
    }

    /// Appends to a file, which is made if need be, for its owner alone to read; `-` is the standard error output.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn file(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::to(io::stderr());
        }
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Self::to(options.open(path)?)
    }

    /// Lines that were lost because they came too fast, or could not be written.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Relaxed)
    }
}

impl AuditSink for AuditLog {
    fn record(&self, line: &str) {
        let sent = self.0.queue.as_ref().is_some_and(|queue| queue.try_send(format!("{line}\n")).is_ok());
        if !sent {
            self.0.lost.fetch_add(1, Relaxed);
        }
    }
}

fn write_all(mut writer: impl Write, lines: &Receiver<String>, lost: &AtomicU64) {
    let mut told = 0;
    while let Ok(line) = lines.recv() {
        let now = lost.load(Relaxed);
        if now > told && writer.write_all(format!("{{\"lost\":{}}}\n", now - told).as_bytes()).is_ok() {
            told = now;
        }
        if writer.write_all(line.as_bytes()).and_then(|()| writer.flush()).is_err() {
            lost.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A writer that panicked has been lost already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_written_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        for round in 1..=2 {
            let log = AuditLog::file(&path).unwrap();
            for number in 0..100 {
                log.record(&format!("{{\"number\":{number}}}"));
            }
            drop(log);
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().count(), round * 100, "a file that is there is gone on with");
            assert!(text.ends_with("{\"number\":99}\n"));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = AuditLog::to(Full).unwrap();
        log.record("{}");
        let inner = Arc::clone(&log.0.lost);
        drop(log);
        assert_eq!(inner.load(Relaxed), 1);
    }
}
