//! Where work that takes long is done: beside the threads that serve requests.
use std::sync::Arc;
use std::thread;
#[cfg(any(feature = "casbin", feature = "rego"))]
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
#[cfg(any(feature = "casbin", feature = "rego"))]
use tokio::time::timeout;

/// Places to work at, as many as there are processors: what is worked on there at once takes no more time than they have, and
/// no more memory than as many pieces of work. A clone has the same places; a plugin keeps one for all of its blocks.
#[derive(Clone, Debug)]
pub(crate) struct Bench(Arc<Semaphore>);

impl Default for Bench {
    fn default() -> Self {
        Self::of(thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Bench {
    fn of(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Does some work when there is a place for it, first come, first served; `None` when it panicked, or the runtime ends.
    ///
    /// The place is given back when the work is done, also when nobody waits for it any more.
    #[cfg(any(feature = "grpc-transcode", feature = "validation"))]
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // Without a runtime there are no other threads to keep free.
        let Ok(runtime) = Handle::try_current() else { return Some(work()) };
        let place = Arc::clone(&self.0).acquire_owned().await.ok()?;
        at(runtime, place, work).await
    }

    /// As [`Bench::run`], for work that is worth nothing when it has to wait longer than that for a place.
    ///
    /// # Errors
    /// [`Busy`] when it has.
    #[cfg(any(feature = "casbin", feature = "rego"))]
    pub(crate) async fn run_within<T: Send + 'static>(
        &self,
        wait: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, Busy> {
        let Ok(runtime) = Handle::try_current() else { return Ok(Some(work())) };
        match timeout(wait, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(place)) => Ok(at(runtime, place, work).await),
            Ok(Err(_)) => Ok(None),
            Err(_) => Err(Busy),
        }
    }
}

/// No place got free in time.
#[cfg(any(feature = "casbin", feature = "rego"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

async fn at<T: Send + 'static>(
    runtime: Handle,
    place: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let work = move || {
        let _place = place;
        work()
    };
    runtime.spawn_blocking(work).await.ok()
}

#[cfg(test)]
impl Bench {
    /// A bench of one place, which is taken for as long as the guard is held.
    pub(crate) fn taken() -> (Self, impl Drop) {
        let bench = Self::of(1);
        let place = Arc::clone(&bench.0).try_acquire_owned().unwrap();
        (bench, place)
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_given_back_whatever_becomes_of_the_work() {
        let bench = Bench::of(1);
        assert_eq!(bench.run(|| 1).await, Some(1));
        let panics = || {
            if true {
                panic!("on purpose")
            }
        };
        assert_eq!(bench.run(panics).await, None);
        // The first one is begun, and nobody waits for it any more.
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let mut first = Box::pin(bench.run(move || waits.recv().is_ok()));
        assert!(futures_util::poll!(&mut first).is_pending());
        drop(first);
        assert_eq!(bench.0.available_permits(), 0, "it goes on");
        go_on.send(()).unwrap();
        assert_eq!(bench.run(|| 2).await, Some(2));
        assert_eq!(bench.0.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_sent_away_and_holds_no_place() {
        let (bench, place) = Bench::taken();
        let wait = Duration::from_secs(1);
        let began = tokio::time::Instant::now();
        assert_eq!(bench.run_within(wait, || 1).await, Err(Busy));
        assert_eq!(began.elapsed(), wait);
        drop(place);
        assert_eq!(bench.run_within(wait, || 1).await, Ok(Some(1)));
    }

    #[test]
    fn without_a_runtime_the_work_is_done_at_once() {
        let (bench, _place) = Bench::taken();
        let mut working = Box::pin(bench.run(|| 1));
        let done = working.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert_eq!(done, std::task::Poll::Ready(Some(1)));
    }
}
