//! [`MirrorSource`]: what a gateway follows.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Release};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::watch;

use super::handle::{Mirror, Shared};
use crate::gateway::{ConfigSource, SourceError};
use crate::model::Snapshot;

/// The configuration of a mirror, for [`Gateway::follow`](crate::Gateway::follow). It yields the snapshot as it is once the
/// mirror has one, then again after each change; of changes that come while one is applied, the last.
pub struct MirrorSource {
    pub(super) mirror: Mirror,
}

impl std::fmt::Debug for MirrorSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorSource").finish_non_exhaustive()
    }
}

impl ConfigSource for MirrorSource {
    /// The stream never ends by itself. A fault of the store is told once, until another one comes or it goes.
    fn watch(self) -> impl Stream<Item = Result<Snapshot, SourceError>> + Send {
        let shared = self.mirror.shared();
        let (applied, told) = (shared.follower(), shared.told());
        let look = Look { shared: Arc::clone(shared), _mirror: self.mirror, told, applied, last: None, fault: None };
        Snapshots { next: Box::pin(look.next()) }
    }
}

type Next = dyn Future<Output = (Result<Snapshot, SourceError>, Look)> + Send;

/// Each item is a future that gives the look back for the next.
struct Snapshots {
    next: Pin<Box<Next>>,
}

impl Stream for Snapshots {
    type Item = Result<Snapshot, SourceError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (item, look) = std::task::ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(look.next());
        Poll::Ready(Some(item))
    }
}

struct Look {
    /// Keeps the mirror's task.
    _mirror: Mirror,
    shared: Arc<Shared>,
    told: watch::Receiver<u64>,
    /// The revision up to which whoever follows has applied everything.
    applied: Arc<AtomicU64>,
    last: Option<Snapshot>,
    fault: Option<String>,
}

impl Look {
    async fn next(mut self) -> (Result<Snapshot, SourceError>, Self) {
        loop {
            self.told.borrow_and_update();
            if let Some(view) = self.shared.view_once_loaded() {
                if self.last.as_ref() != Some(view.snapshot()) {
                    let snapshot = view.snapshot().clone();
                    self.last = Some(snapshot.clone());
                    return (Ok(snapshot), self);
                }
                // Whoever asks for more has applied what he got.
                self.applied.store(view.revision(), Release);
                self.shared.tell_applied();
            }
            let fault = self.shared.fault();
            if fault != self.fault {
                let is_over = fault.is_none();
                self.fault = fault;
                // What is in force was told to be the last good; now it is simply good.
                if let Some(last) = self.last.clone().filter(|_| is_over) {
                    return (Ok(last), self);
                }
                if let Some(fault) = &self.fault {
                    let place = self.shared.place().to_string();
                    return (Err(SourceError::Watch { place, message: fault.clone() }), self);
                }
            }
            if self.told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
