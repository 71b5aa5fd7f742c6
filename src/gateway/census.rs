//! Which configurations requests still run on.
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use super::Gateway;
use super::live::Live;
use crate::UpgradedIo;
use crate::error::Response;
use crate::held::{Count, Counted};

/// A configuration that is in force, or that something still runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generation {
    /// Which one.
    pub revision: u64,
    /// When it was swapped in.
    pub applied_at: SystemTime,
    /// Requests that began with it and whose answers have not come to their ends.
    pub requests: usize,
    /// Tunnels (WebSockets) that began with it.
    pub tunnels: usize,
    /// Whether the whole of it is still in memory; of an old one that is not, only the routes are that something runs on.
    pub is_whole: bool,
}

/// Counts on until the end of the answer's body, or of the tunnel.
fn follow(part: Counted, response: &mut Response) {
    match response.extensions().get::<UpgradedIo>() {
        Some(tunnel) => tunnel.hold(part.into_tunnel()),
        None => {
            let body = std::mem::take(response.body_mut());
            *response.body_mut() = body.counted(part);
        }
    }
}

pin_project_lite::pin_project! {
    /// An answer that is counted.
    pub(super) struct Followed<F> {
        #[pin]
        answer: F,
        part: Option<Counted>,
    }
}

impl<F> Followed<F> {
    pub(super) fn new(answer: F, part: Counted) -> Self {
        Self { answer, part: Some(part) }
    }
}

impl<F: Future<Output = Response>> Future for Followed<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let me = self.project();
        let mut response = ready!(me.answer.poll(cx));
        if let Some(part) = me.part.take() {
            follow(part, &mut response);
        }
        Poll::Ready(response)
    }
}

/// The configurations that may still be in use.
#[derive(Default)]
pub(super) struct Census(Mutex<Vec<Known>>);

struct Known {
    revision: u64,
    applied_at: SystemTime,
    running: Arc<Count>,
    live: Weak<Live>,
}

impl Census {
    /// Notes a configuration that is about to be swapped in, and forgets those that nothing runs on.
    pub(super) fn note(&self, live: &Arc<Live>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.live.strong_count() > 0 || known.running.get() != (0, 0));
        known.push(Known {
            revision: live.revision,
            applied_at: SystemTime::now(),
            running: Arc::clone(&live.running),
            live: Arc::downgrade(live),
        });
    }

    /// Newest first. `current` is in it whether or not anything runs on it.
    fn take(&self, current: u64) -> Vec<Generation> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = |known: &Known| {
            let (requests, tunnels) = known.running.get();
            let is_whole = known.live.strong_count() > 0;
            Generation { revision: known.revision, applied_at: known.applied_at, requests, tunnels, is_whole }
        };
        let in_use = |it: &Generation| it.revision == current || it.is_whole || it.requests + it.tunnels > 0;
        known.iter().rev().map(generation).filter(in_use).collect()
    }
}

impl Gateway {
    /// The configuration in force and those before it that requests or tunnels still run on, newest first. The counts are
    /// of one moment only as far as nothing begins or ends meanwhile.
    pub fn generations(&self) -> Vec<Generation> {
        self.0.census.take(self.0.live.load().revision)
    }
}
