//! The accept loop.
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::arrive::{Start, Way};
use super::door::Door;
use super::group::Group;

/// Wait after descriptors ran out, unless a connection ends before.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A listener at work.
pub(super) struct Entrance {
    pub(super) door: Door,
    pub(super) group: Arc<Group>,
    /// What connections go through that are accepted from now on.
    pub(super) way: ArcSwap<Way>,
}

impl Entrance {
    /// Closes the socket. Connections that wait to be accepted are; all go on.
    pub(super) fn close(&self, start: &Arc<Start>) {
        let way = self.way.load_full();
        self.door.close(|accepted| way.lead(accepted, &self.group, start));
    }
}

/// Accepts until the door is closed.
pub(super) async fn accept(entrance: Arc<Entrance>, start: Arc<Start>) {
    let mut spare = File::open("/dev/null").ok();
    let next = || poll_fn(|cx| entrance.door.poll_accept(cx));
    while let Some(accepted) = next().await {
        match accepted {
            Ok(accepted) => entrance.way.load_full().lead(accepted, &entrance.group, &start),
            Err(error) if is_exhausted(&error) => {
                // The spare descriptor lets the next in line be told by a close, instead of waiting for nothing.
                drop(spare.take());
                let registry = entrance.group.registry();
                registry.close_idle_oldest(1);
                tokio::select! {
                    biased;
                    refused = next() => drop(refused),
                    () = std::future::ready(()) => {}
                }
                spare = File::open("/dev/null").ok();
                tokio::select! {
                    () = registry.departed() => {}
                    () = tokio::time::sleep(EXHAUSTED) => {}
                }
            }
            // That connection failed before it was accepted; the next one is another.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Whether descriptors or memory ran out (OVL-03): `ENFILE`, `EMFILE`, `ENOBUFS`, `ENOMEM`.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12))
}
