//! Exchanges that have ended.
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::Asked;
use super::functions::OnEnd;
use crate::{Body, BodyError, Response};

/// What is known of an exchange at its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The request.
    pub request: Asked,
    /// Status of the answer; `None` when the client went away before there was one.
    pub status: Option<StatusCode>,
    /// Bytes of the answer's body that were handed on.
    pub sent: u64,
    /// Whether the whole body was handed on.
    pub complete: bool,
    /// From the request to the end.
    pub took: Duration,
}

/// Calls functions when it is dropped.
pub(super) struct Ending {
    functions: Arc<[OnEnd]>,
    begun: Instant,
    ended: Ended,
}

impl Ending {
    pub(super) fn new(functions: &Arc<[OnEnd]>, request: Asked) -> Self {
        let ended = Ended { request, status: None, sent: 0, complete: false, took: Duration::ZERO };
        Self { functions: Arc::clone(functions), begun: Instant::now(), ended }
    }

    /// The same answer, which the functions are told of when its body has ended.
    pub(super) fn behind(mut self, response: Response) -> Response {
        self.ended.status = Some(response.status());
        if let Some(bytes) = response.body().as_bytes() {
            self.ended.sent = bytes.len() as u64;
            self.ended.complete = true;
            return response;
        }
        response.map(|body| Body::stream(Watched { body, ending: Box::new(self) }))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.ended.took = self.begun.elapsed();
        for function in &*self.functions {
            // A request that is dropped by a panic would take the process with it at a second one.
            let called = catch_unwind(AssertUnwindSafe(|| function(&self.ended)));
            #[cfg(feature = "tracing")]
            if called.is_err() {
                tracing::error!("a function of phase `log` panicked");
            }
            #[cfg(not(feature = "tracing"))]
            let _ = called;
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ended.fmt(f)
    }
}

/// A body that is counted to its end.
struct Watched {
    body: Body,
    ending: Box<Ending>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.ending.ended.complete = true,
            Some(Ok(frame)) => {
                self.ending.ended.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                // whoever knows that this was the end does not ask again
                self.ending.ended.complete = self.body.is_end_stream();
            }
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
