//! The thread that writes lines.
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Lines that may wait to be written.
const QUEUE: usize = 8192;
/// Bytes that are written at once, when there are so many.
const BATCH: usize = 64 * 1024;

/// Where lines go.
pub trait AccessLogSink: Send + 'static {
    /// Writes whole lines.
    ///
    /// # Errors
    /// Those of the medium; the lines are lost and counted.
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Opens the medium again, because the file was moved away. Default: nothing to do.
    ///
    /// # Errors
    /// Those of the medium; what was open stays in use.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines appended to a file.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    file: File,
}

impl FileSink {
    /// Opens the file, and makes it if need be.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        Ok(Self { file: Self::append(&path)?, path })
    }

    fn append(path: &std::path::Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(path)
    }
}

impl AccessLogSink for FileSink {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = Self::append(&self.path)?;
        Ok(())
    }
}

impl AccessLogSink for io::Stdout {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_all(lines)?;
        self.flush()
    }
}

impl AccessLogSink for io::Stderr {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_all(lines)
    }
}

/// Handle of the writing thread. A clone is one reference count; when the last is dropped, what is queued is written and
/// the thread ends.
#[derive(Clone)]
pub struct AccessLogWriter(Arc<Inner>);

struct Inner {
    /// Taken when the thread is to end.
    queue: Option<SyncSender<Message>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    lost: Arc<AtomicU64>,
}

enum Message {
    Line(String),
    Reopen,
}

impl AccessLogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(sink: impl AccessLogSink) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(sink, &receiver, &counter))?;
        Ok(Self(Arc::new(Inner { queue: Some(sender), thread: Mutex::new(Some(thread)), lost })))
    }

    /// Queues a line; when the queue is full, it is lost.
    pub(super) fn send(&self, line: String) {
        let sent = self.0.queue.as_ref().is_some_and(|queue| queue.try_send(Message::Line(line)).is_ok());
        if !sent {
            self.0.lost.fetch_add(1, Relaxed);
        }
    }

    /// Has the file opened again, after what is queued was written: for the rotation of logs.
    pub fn reopen(&self) {
        if let Some(queue) = &self.0.queue {
            // An error means that the thread is gone, and with it the file.
            let _ = queue.send(Message::Reopen);
        }
    }

    /// Lines that were lost, because the queue was full or the medium refused them.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Relaxed)
    }
}

impl fmt::Debug for AccessLogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLogWriter").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in the sink has ended the thread; there is nothing left to write.
            let _ = thread.join();
        }
    }
}

fn write_all(mut sink: impl AccessLogSink, queue: &Receiver<Message>, lost: &AtomicU64) {
    let (mut batch, mut lines) = (String::new(), 0);
    let flush = |sink: &mut dyn AccessLogSink, batch: &mut String, lines: &mut u64| {
        if !batch.is_empty() && sink.write_lines(batch.as_bytes()).is_err() {
            lost.fetch_add(*lines, Relaxed);
        }
        batch.clear();
        *lines = 0;
    };
    loop {
        // What is queued goes out together; an empty queue ends the batch.
        let message = match queue.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Empty) => {
                flush(&mut sink, &mut batch, &mut lines);
                queue.recv().ok()
            }
            Err(TryRecvError::Disconnected) => None,
        };
        match message {
            Some(Message::Line(line)) => {
                batch.push_str(&line);
                lines += 1;
                if batch.len() >= BATCH {
                    flush(&mut sink, &mut batch, &mut lines);
                }
            }
            Some(Message::Reopen) => {
                flush(&mut sink, &mut batch, &mut lines);
                // When it cannot be opened, the old file goes on.
                let _ = sink.reopen();
            }
            None => {
                flush(&mut sink, &mut batch, &mut lines);
                return;
            }
        }
    }
}
