//! Keeps the local copy of what a mirror knows.
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::handle::Shared;
use crate::store::{Copied, Entry, Key, Loaded, LocalCopy};

/// The least time between two copies.
const PACE: Duration = Duration::from_secs(1);
/// After one that was not written.
const AGAIN: Duration = Duration::from_secs(30);

/// Writes a copy whenever something has changed: not more often than once a second, and for a twentieth of the time at most.
pub(super) async fn keep(shared: Arc<Shared>, copy: LocalCopy) {
    let mut told = shared.told();
    let mut kept = None;
    loop {
        told.borrow_and_update();
        let mut again = None;
        // Counts what has changed; the revision grows by others' changes, too.
        let made = shared.made();
        let view = shared.view_once_loaded().filter(|_| !shared.is_from_copy() && kept != Some(made));
        if let Some(view) = view {
            let begun = Instant::now();
            let (of, history, copy) = (shared.store.identity(), shared.history.clone(), copy.clone());
            let work = tokio::task::spawn_blocking(move || {
                let entry = |(key, entry): (&Key, &Arc<Entry>)| (key.clone(), Entry::clone(entry));
                let entries = view.entries().iter().map(entry).collect();
                let changes = history.all();
                copy.save(&Copied {
                    of,
                    at: SystemTime::now(),
                    loaded: Loaded { revision: view.revision(), entries },
                    changes,
                })
            });
            let fault = work.await.ok().and_then(Result::err).map(|error| error.to_string());
            match fault {
                None => kept = Some(made),
                Some(_) => again = Some(AGAIN),
            }
            shared.note(|status| status.copy_error = fault);
            sleep(PACE.max(begun.elapsed() * 20)).await;
        }
        tokio::select! {
            changed = told.changed() => if changed.is_err() { return },
            () = sleep(again.unwrap_or_default()), if again.is_some() => {}
        }
    }
}
