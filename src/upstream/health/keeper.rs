//! The task that keeps the verdicts on an upstream's endpoints up.
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::dispatch::Upstream;
#[cfg(not(feature = "client"))]
use super::no_probing::Probing;
#[cfg(feature = "client")]
use super::probing::Probing;
use super::record::Health;
use super::watch::{HealthWatch, counted};

/// How long the next set of endpoints is waited with after one, in times of what that took to make: verdicts on many
/// endpoints at once share a set.
const REST: u32 = 9;

/// The seat of whoever keeps verdicts up: one version of an upstream at a time, however many are in use.
#[derive(Debug, Default)]
pub(crate) struct Keeper(Mutex<Option<Keeping>>);

#[derive(Debug)]
struct Keeping {
    version: Weak<Upstream>,
    task: JoinHandle<()>,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    /// Gives the seat to `version`. Who had it stops; one without health checks leaves it empty. Without a runtime
    /// around nothing happens.
    pub(crate) fn take(&self, version: &Upstream) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut seat = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keeps = |keeping: &Keeping| keeping.version.ptr_eq(&version.me) && !keeping.task.is_finished();
        if seat.as_ref().is_some_and(keeps) {
            return;
        }
        let begin = |watch: &Arc<HealthWatch>| Keeping {
            version: Weak::clone(&version.me),
            task: runtime.spawn(keep(Arc::clone(watch), Weak::clone(&version.me))),
        };
        *seat = version.health.as_ref().map(begin);
    }
}

/// Probes the endpoints of `upstream`, lets in who was out for a time, and has the next set of endpoints made when a
/// verdict falls. Ends with the upstream.
async fn keep(watch: Arc<HealthWatch>, upstream: Weak<Upstream>) {
    let mut probing = match upstream.upgrade() {
        Some(upstream) => Probing::new(watch.judge.config(), &upstream),
        None => return,
    };
    let mut rested = Instant::now();
    // A set that was made before this began may not know of the last verdicts: they may have fallen on another version's
    // watch, or have been taken back, since an endpoint is probed by another name.
    watch.is_dirty();
    loop {
        let mut wake = {
            let Some(upstream) = upstream.upgrade() else { return };
            let set = upstream.set.load_full();
            probing.follow(&upstream, &set);
            let crowd: Vec<&Health> = set.slots.iter().map(|slot| &**slot.state.health()).collect();
            let busy: Vec<&Health> = counted(&set).collect();
            let (changed, next) = watch.judge.settle(&crowd, &busy, Instant::now());
            if changed {
                watch.is_dirty();
            }
            next
        };
        if watch.dirty.load(SeqCst) {
            let now = Instant::now();
            if rested <= now {
                let Some(upstream) = upstream.upgrade() else { return };
                // A swap: it sees what was written before whatever it takes back.
                watch.dirty.swap(false, SeqCst);
                upstream.refresh();
                rested = Instant::now() + now.elapsed() * REST;
                continue;
            }
            wake = Some(wake.map_or(rested, |wake| wake.min(rested)));
        }
        let later = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = watch.news.notified() => {}
            () = probing.changed() => watch.is_dirty(),
            () = later => {}
        }
    }
}
