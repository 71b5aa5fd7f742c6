//! The watch as a stream.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::super::super::{News, NewsStream, StoreError};
use super::super::client::Client;
use super::watcher::Watcher;

/// What changes from revision `from` on.
pub(in crate::store::etcd) fn news(client: Arc<Client>, from: u64) -> NewsStream {
    Box::pin(Reader { step: Some(step(Watcher::new(client, from))) })
}

type Told = Option<Result<News, StoreError>>;
type Step = Pin<Box<dyn Future<Output = (Watcher, Told)> + Send>>;

/// It works while it is read: no task of its own, and a reader that takes its time holds back the server.
struct Reader {
    /// `None` behind the end.
    step: Option<Step>,
}

fn step(mut watcher: Watcher) -> Step {
    Box::pin(async move {
        let told = watcher.next().await;
        (watcher, told)
    })
}

impl Stream for Reader {
    type Item = Result<News, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Told> {
        let Some(running) = &mut self.step else { return Poll::Ready(None) };
        let (watcher, told) = ready!(running.as_mut().poll(cx));
        self.step = told.is_some().then(|| step(watcher));
        Poll::Ready(told)
    }
}
