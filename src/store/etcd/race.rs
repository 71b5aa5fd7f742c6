//! Attempts side by side.
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

type Attempt<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Attempts that are under way, each with the place of the server that it is for. What is dropped with this goes no
/// further.
pub(super) struct Race<'a, T>(Vec<(usize, Attempt<'a, T>)>);

impl<'a, T> Race<'a, T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.0.iter().any(|(runs, _)| *runs == place)
    }

    pub(super) fn add(&mut self, place: usize, attempt: impl Future<Output = T> + Send + 'a) {
        self.0.push((place, Box::pin(attempt)));
    }

    /// The next that ends; never, when none is under way. May be given up at any time.
    pub(super) async fn next(&mut self) -> (usize, T) {
        poll_fn(|cx| {
            for at in 0..self.0.len() {
                let Some((place, attempt)) = self.0.get_mut(at) else { break };
                if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
                    let place = *place;
                    drop(self.0.swap_remove(at));
                    return Poll::Ready((place, ended));
                }
            }
            Poll::Pending
        })
        .await
    }
}
