//! What a service told, such as a document, kept for a while and fetched by one request at a time.
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Nobody asks again for so long after a fetch that something unknown gave rise to, nor after many failures in a row.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);
/// The pause after a first failure; each further one doubles it, up to [`PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A value with its age. Reading it takes no lock while it is fresh.
///
/// In the last tenth of its life one request fetches it anew while the others go on with the old one, so that a provider
/// that is away for a moment harms nobody. Past its life it is not used: no key outlives `lifetime`.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    current: ArcSwapOption<Stamped<T>>,
    /// Held while fetching, so that waiting requests find the outcome; if the request that fetches is dropped, the next
    /// one takes over.
    past: Mutex<Past>,
    lifetime: Duration,
}

#[derive(Debug, Default)]
struct Past {
    /// When a fetch failed last, and for how long nobody asks again.
    failed: Option<(Instant, Duration)>,
    /// When something unknown last gave rise to a fetch.
    forced: Option<Instant>,
}

#[derive(Debug)]
struct Stamped<T> {
    value: Arc<T>,
    at: Instant,
    lifetime: Duration,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Missing<E: std::error::Error + 'static> {
    /// The fetch failed.
    #[error("the fetch failed")]
    Failed(#[source] E),
    /// A fetch failed a moment ago.
    #[error("a fetch failed a moment ago")]
    Paused,
}

impl<T> Cached<T> {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { current: ArcSwapOption::empty(), past: Mutex::default(), lifetime }
    }

    /// The value, fetched when there is none that is young enough.
    pub(crate) async fn get<F, E>(&self, fetch: F) -> Result<Arc<T>, Missing<E>>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: std::error::Error + 'static,
    {
        let lifetime = self.lifetime;
        self.get_for(async || fetch().await.map(|value| (value, lifetime))).await
    }

    /// As [`Cached::get`], of a value that says for how long it holds.
    pub(crate) async fn get_for<F, E>(&self, fetch: F) -> Result<Arc<T>, Missing<E>>
    where
        F: AsyncFnOnce() -> Result<(T, Duration), E>,
        E: std::error::Error + 'static,
    {
        if let Some((found, ageing)) = self.current() {
            // the lock is free: nobody fetches yet
            if ageing
                && let Ok(mut past) = self.past.try_lock()
                && let Ok(renewed) = self.fetch(fetch, &mut past).await
            {
                return Ok(renewed);
            }
            return Ok(found);
        }
        let mut past = self.past.lock().await;
        match self.current() {
            Some((found, _)) => Ok(found),
            None => self.fetch(fetch, &mut past).await,
        }
    }

    /// A value newer than `seen`, in which something was not found: fetched at most once in [`PAUSE`], else `seen` itself.
    #[cfg(feature = "oidc")]
    pub(crate) async fn get_newer<F, E>(&self, seen: Arc<T>, fetch: F) -> Result<Arc<T>, Missing<E>>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: std::error::Error + 'static,
    {
        let lifetime = self.lifetime;
        self.get_newer_for(seen, async || fetch().await.map(|value| (value, lifetime))).await
    }

    /// As [`Cached::get_newer`], of a value that says for how long it holds.
    pub(crate) async fn get_newer_for<F, E>(&self, seen: Arc<T>, fetch: F) -> Result<Arc<T>, Missing<E>>
    where
        F: AsyncFnOnce() -> Result<(T, Duration), E>,
        E: std::error::Error + 'static,
    {
        let mut past = self.past.lock().await;
        if let Some((found, _)) = self.current()
            && !Arc::ptr_eq(&found, &seen)
        {
            return Ok(found);
        }
        if past.forced.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(seen);
        }
        past.forced = Some(Instant::now());
        self.fetch(fetch, &mut past).await
    }

    /// The value, if its life is not over, and whether no more than a tenth of it is left.
    fn current(&self) -> Option<(Arc<T>, bool)> {
        let current = self.current.load();
        let Stamped { value, at, lifetime } = &**current.as_ref()?;
        // a life may be as long as whoever told of it likes
        let left = lifetime.saturating_sub(at.elapsed());
        (!left.is_zero()).then(|| (Arc::clone(value), left <= *lifetime / 10))
    }

    async fn fetch<F, E>(&self, fetch: F, past: &mut Past) -> Result<Arc<T>, Missing<E>>
    where
        F: AsyncFnOnce() -> Result<(T, Duration), E>,
        E: std::error::Error + 'static,
    {
        let before = past.failed;
        if before.is_some_and(|(at, pause)| at.elapsed() < pause) {
            return Err(Missing::Paused);
        }
        match fetch().await {
            Ok((value, lifetime)) => {
                let value = Arc::new(value);
                let stamped = Stamped { value: Arc::clone(&value), at: Instant::now(), lifetime };
                self.current.store(Some(Arc::new(stamped)));
                past.failed = None;
                Ok(value)
            }
            Err(error) => {
                let pause = before.map_or(FIRST_PAUSE, |(_, pause)| PAUSE.min(pause * 2));
                past.failed = Some((Instant::now(), pause));
                Err(Missing::Failed(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(100);

    /// A source that counts; it fails while `broken`.
    #[derive(Default)]
    struct Source {
        asked: AtomicUsize,
        broken: std::sync::atomic::AtomicBool,
    }

    impl Source {
        async fn fetch(&self) -> Result<usize, std::fmt::Error> {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let count = self.asked.fetch_add(1, SeqCst) + 1;
            if self.broken.load(SeqCst) { Err(std::fmt::Error) } else { Ok(count) }
        }

        async fn get(&self, cached: &Cached<usize>) -> Option<usize> {
            cached.get(|| self.fetch()).await.ok().map(|value| *value)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_requests_fetch_once() {
        let (cached, source) = (Cached::new(LIFETIME), Source::default());
        let all = (0..50).map(|_| source.get(&cached));
        assert!(futures_util::future::join_all(all).await.into_iter().all(|value| value == Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_ageing_value_serves_on_when_the_source_is_away_and_an_old_one_does_not() {
        let (cached, source) = (Cached::new(LIFETIME), Source::default());
        assert_eq!(source.get(&cached).await, Some(1));
        source.broken.store(true, SeqCst);
        tokio::time::advance(LIFETIME / 20 * 19).await;
        assert_eq!(source.get(&cached).await, Some(1));
        assert_eq!(source.get(&cached).await, Some(1));
        assert_eq!(source.asked.load(SeqCst), 2, "after a failure there is a pause");
        tokio::time::advance(LIFETIME / 20).await;
        assert_eq!(source.get(&cached).await, None);
        source.broken.store(false, SeqCst);
        tokio::time::advance(PAUSE).await;
        assert_eq!(source.get(&cached).await, Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_from_failure_to_failure_and_a_success_ends_them() {
        let (cached, source) = (Cached::new(LIFETIME), Source::default());
        source.broken.store(true, SeqCst);
        for (asked, pause) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10)] {
            assert_eq!((source.get(&cached).await, source.asked.load(SeqCst)), (None, asked));
            tokio::time::advance(Duration::from_secs(pause) - Duration::from_millis(1)).await;
            assert_eq!((source.get(&cached).await, source.asked.load(SeqCst)), (None, asked), "a pause of {pause} s");
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        source.broken.store(false, SeqCst);
        assert_eq!(source.get(&cached).await, Some(7));
        tokio::time::advance(LIFETIME).await;
        source.broken.store(true, SeqCst);
        assert_eq!(source.get(&cached).await, None);
        tokio::time::advance(FIRST_PAUSE).await;
        source.broken.store(false, SeqCst);
        assert_eq!(source.get(&cached).await, Some(9), "the first pause is short again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_beyond_all_times_is_one() {
        let (cached, source) = (Cached::new(LIFETIME), Source::default());
        for _ in 0..2 {
            let endless = async || source.fetch().await.map(|value| (value, Duration::from_secs(u64::MAX)));
            assert_eq!(*cached.get_for(endless).await.unwrap(), 1);
        }
        let (cached, none) =
            (Cached::new(LIFETIME), async || source.fetch().await.map(|value| (value, Duration::ZERO)));
        assert_eq!(*cached.get_for(none).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_may_say_for_how_long_it_holds() {
        let (cached, source) = (Cached::new(LIFETIME), Source::default());
        let get = async || {
            let fetched = cached.get_for(async || source.fetch().await.map(|value| (value, Duration::from_secs(10))));
            *fetched.await.unwrap()
        };
        assert_eq!(get().await, 1);
        tokio::time::advance(Duration::from_secs(8)).await;
        assert_eq!(get().await, 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(get().await, 2);
    }

    #[cfg(feature = "oidc")]
    #[tokio::test(start_paused = true)]
    async fn something_unknown_leads_to_one_fetch_in_a_pause() {
        let (cached, source) = (Cached::new(LIFETIME), Source::default());
        assert_eq!(source.get(&cached).await, Some(1));
        let mut seen = cached.get(|| source.fetch()).await.unwrap();
        for expected in [2, 3] {
            let searches = (0..5).map(|_| cached.get_newer(Arc::clone(&seen), || source.fetch()));
            let found = futures_util::future::join_all(searches).await;
            assert!(found.iter().all(|value| **value.as_ref().unwrap() == expected));
            seen = cached.get(|| source.fetch()).await.unwrap();
            assert_eq!(*cached.get_newer(Arc::clone(&seen), || source.fetch()).await.unwrap(), expected, "a pause");
            tokio::time::advance(PAUSE).await;
        }
    }
}
