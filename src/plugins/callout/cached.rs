//! What a service told, such as a document, kept for a while and fetched by one request at a time.
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Nobody asks again for so long after a failure, nor after a fetch that something unknown gave rise to.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);

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
    /// When a fetch failed last.
    failed: Option<Instant>,
    /// When something unknown last gave rise to a fetch.
    #[cfg(feature = "oidc")]
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
    #[error("a fetch failed less than {} s ago", PAUSE.as_secs())]
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
        if let Some(found) = self.within(1.0) {
            let ageing = self.within(0.9).is_none();
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
        match self.within(1.0) {
            Some(found) => Ok(found),
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
        let mut past = self.past.lock().await;
        if let Some(found) = self.within(1.0)
            && !Arc::ptr_eq(&found, &seen)
        {
            return Ok(found);
        }
        if past.forced.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(seen);
        }
        past.forced = Some(Instant::now());
        let lifetime = self.lifetime;
        self.fetch(async || fetch().await.map(|value| (value, lifetime)), &mut past).await
    }

    /// The value, if no more than that share of its life is over.
    fn within(&self, share: f32) -> Option<Arc<T>> {
        let current = self.current.load();
        let stamped = current.as_ref()?;
        (stamped.at.elapsed() < stamped.lifetime.mul_f32(share)).then(|| Arc::clone(&stamped.value))
    }

    async fn fetch<F, E>(&self, fetch: F, past: &mut Past) -> Result<Arc<T>, Missing<E>>
    where
        F: AsyncFnOnce() -> Result<(T, Duration), E>,
        E: std::error::Error + 'static,
    {
        if past.failed.is_some_and(|at| at.elapsed() < PAUSE) {
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
                past.failed = Some(Instant::now());
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
        tokio::time::advance(LIFETIME.mul_f32(0.95)).await;
        assert_eq!(source.get(&cached).await, Some(1));
        assert_eq!(source.get(&cached).await, Some(1));
        assert_eq!(source.asked.load(SeqCst), 2, "after a failure there is a pause");
        tokio::time::advance(LIFETIME.mul_f32(0.05)).await;
        assert_eq!(source.get(&cached).await, None);
        source.broken.store(false, SeqCst);
        tokio::time::advance(PAUSE).await;
        assert_eq!(source.get(&cached).await, Some(3));
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
