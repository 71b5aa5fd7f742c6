//! Keeps the local copy of what a mirror knows.
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::handle::Shared;
use crate::store::{Copied, Entry, Key, Loaded, LocalCopy};

/// The least time between two copies.
const PACE: Duration = Duration::from_secs(1);

/// Writes a copy whenever something has changed, and not more often than once a second.
pub(super) async fn keep(shared: Arc<Shared>, copy: LocalCopy) {
    let mut told = shared.told();
    let mut kept = None;
    loop {
        told.borrow_and_update();
        let view = shared.view_once_loaded().filter(|_| !shared.is_from_copy());
        if let Some(view) = view.filter(|view| Some(view.revision()) != kept) {
            kept = Some(view.revision());
            let (of, history, copy) = (shared.place(), shared.history.clone(), copy.clone());
            let work = tokio::task::spawn_blocking(move || {
                let entry = |(key, entry): (&Key, &Arc<Entry>)| (key.clone(), Entry::clone(entry));
                let entries = view.entries().iter().map(entry).collect();
                let mut changes = history.list(usize::MAX, None);
                changes.reverse();
                copy.save(&Copied {
                    of,
                    at: SystemTime::now(),
                    loaded: Loaded { revision: view.revision(), entries },
                    changes,
                })
            });
            let fault = work.await.ok().and_then(Result::err).map(|error| error.to_string());
            shared.note(|status| status.copy_error = fault);
            sleep(PACE).await;
        }
        if told.changed().await.is_err() {
            return;
        }
    }
}
