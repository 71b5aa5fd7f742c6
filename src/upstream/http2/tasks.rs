//! The tasks of one HTTP/2 connection, which end with it.
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;

/// hyper's executor for one connection. A clone refers to the same tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    set: Mutex<JoinSet<()>>,
    /// The task that reads and writes frames, which hyper starts first, is there.
    frames: AtomicBool,
    moved: Notify,
}

impl Tasks {
    /// Stops all of them.
    pub(super) fn stop(&self) {
        self.set().abort_all();
    }

    /// Waits until frames may have come since the last call. hyper tells nobody when the peer's settings have come, so
    /// whoever waits for them looks after each of these.
    pub(super) async fn moved(&self) {
        self.0.moved.notified().await;
    }

    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.set();
        // Those that have ended make room.
        while set.try_join_next().is_some() {}
        set.spawn(future);
    }

    fn set(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        if self.0.frames.swap(true, Relaxed) {
            return self.spawn(async move {
                future.await;
            });
        }
        let tasks = Arc::downgrade(&self.0);
        self.spawn(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let ended = future.as_mut().poll(cx);
                if let Some(tasks) = tasks.upgrade() {
                    tasks.moved.notify_one();
                }
                ended
            })
            .await;
        });
    }
}
