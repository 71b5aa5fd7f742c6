//! How much a zone asks of its disk at once: one that is slow or hangs holds up neither clients nor whatever else is done on
//! threads that may block.
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A kept answer that is not there by then is fetched in its place.
pub(super) const OPENS: Duration = Duration::from_secs(1);
/// A body that has no more by then breaks off.
pub(super) const READS: Duration = Duration::from_secs(10);
/// For so long a client waits until the disk takes more of its answer, which then is not kept.
pub(super) const WRITES: Duration = Duration::from_millis(250);
/// Bytes of bodies that wait for the disk, of all answers together.
const GATHERED: u64 = 64 << 20;
/// So many removals wait for the disk.
const REMOVALS: usize = 4096;

/// What is asked of the disk at once.
#[derive(Debug)]
pub(super) struct Pace {
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    removals: Arc<Semaphore>,
    gathered: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        let (readers, writers) = (Arc::new(Semaphore::new(64)), Arc::new(Semaphore::new(32)));
        Self { readers, writers, removals: Arc::new(Semaphore::new(REMOVALS)), gathered: AtomicU64::new(0) }
    }
}

impl Pace {
    /// Reads, when it is its turn, into an empty buffer that has so much `room`. The buffer is made on the caller's thread, where
    /// what is read is dropped as well: allocators keep much of what is made on one thread and dropped on another, for each
    /// of the many threads that may block.
    ///
    /// # Errors
    /// What `read` says, and [`io::ErrorKind::TimedOut`].
    pub(super) fn reading<T: Send + 'static>(
        &self,
        within: Duration,
        room: usize,
        read: impl FnOnce(Vec<u8>) -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let places = Arc::clone(&self.readers);
        let read = in_turn(places, move || {
            let buffer = Vec::with_capacity(room);
            move || read(buffer)
        });
        async move { timeout(within, read).await.unwrap_or_else(|late| Err(late.into())) }
    }

    /// Writes, when it is its turn.
    ///
    /// # Errors
    /// What `write` says.
    pub(super) fn writing<T: Send + 'static>(
        &self,
        write: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        in_turn(Arc::clone(&self.writers), || write)
    }

    /// Removes in the background, when it is the turn of that; without a runtime at once. `false`: too much waits for that
    /// as it is, and nothing is removed.
    pub(super) fn removing(&self, remove: impl FnOnce() + Send + 'static) -> bool {
        let Ok(runtime) = Handle::try_current() else {
            remove();
            return true;
        };
        let Ok(place) = Arc::clone(&self.removals).try_acquire_owned() else { return false };
        let removing = self.writing(move || {
            remove();
            drop(place);
            Ok(())
        });
        runtime.spawn(removing);
        true
    }

    /// Whether so many bytes more may wait for the disk. If so they do, until [`Pace::release`].
    pub(super) fn gather(&self, bytes: u64) -> bool {
        let fits = self.gathered.fetch_add(bytes, Relaxed) + bytes <= GATHERED;
        if !fits {
            self.release(bytes);
        }
        fits
    }

    /// Takes every place of those who write.
    #[cfg(test)]
    pub(super) async fn all_writers(&self) -> tokio::sync::OwnedSemaphorePermit {
        Arc::clone(&self.writers).acquire_many_owned(32).await.unwrap()
    }

    /// So many bytes do not wait any more.
    pub(super) fn release(&self, bytes: u64) {
        self.gathered.fetch_sub(bytes, Relaxed);
    }
}

/// Prepares work here when it is its turn, and does it on a thread that may block. The place is free when the work is done,
/// whether or not anybody waits for it still.
async fn in_turn<T: Send + 'static, W: FnOnce() -> io::Result<T> + Send + 'static>(
    places: Arc<Semaphore>,
    prepare: impl FnOnce() -> W + Send + 'static,
) -> io::Result<T> {
    let place = places.acquire_owned().await.map_err(io::Error::other)?;
    let work = prepare();
    let working = move || {
        let done = work();
        drop(place);
        done
    };
    spawn_blocking(working).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_hangs_is_not_waited_for_and_takes_a_bounded_number_of_threads() {
        let pace = Pace::default();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let hangs = || {
            let wait = Arc::clone(&wait);
            move |_| Ok(wait.lock().unwrap().recv().is_ok())
        };
        let late = Duration::from_millis(1);
        for _ in 0..100 {
            let error = pace.reading(late, 0, hangs()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!((pace.readers.available_permits(), pace.writers.available_permits()), (0, 32));
        assert_eq!(pace.writing(|| Ok(7)).await.unwrap(), 7, "what is written does not wait for what is read");
        drop(go);
        assert_eq!(pace.reading(Duration::from_secs(60), 0, |_| Ok(8)).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn what_is_read_into_is_made_by_who_asks() {
        let thread = || std::thread::current().id();
        let prepare = move || {
            let made = thread();
            move || Ok((made, thread()))
        };
        let (made, used) = in_turn(Arc::new(Semaphore::new(1)), prepare).await.unwrap();
        assert!(made == thread() && used != thread());
        let read = |buffer: Vec<u8>| Ok((buffer.capacity(), buffer.len()));
        assert_eq!(Pace::default().reading(READS, 1000, read).await.unwrap(), (1000, 0));
    }

    #[tokio::test]
    async fn what_is_to_be_removed_waits_within_bounds() {
        let pace = Pace::default();
        let busy = pace.all_writers().await;
        let removed = Arc::new(AtomicU64::new(0));
        let remove = || {
            let removed = Arc::clone(&removed);
            move || {
                removed.fetch_add(1, Relaxed);
            }
        };
        assert!((0..REMOVALS).all(|_| pace.removing(remove())));
        assert!(!pace.removing(remove()));
        drop(busy);
        while removed.load(Relaxed) < REMOVALS as u64 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn bodies_wait_for_the_disk_within_bounds() {
        let pace = Pace::default();
        assert!(pace.gather(GATHERED) && !pace.gather(1));
        pace.release(1);
        assert!(pace.gather(1));
        pace.release(GATHERED);
    }
}
