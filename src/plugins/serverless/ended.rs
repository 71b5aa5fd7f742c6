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
use crate::request::SteppedAside;
use crate::{Body, BodyError, Response};

/// What is known of an exchange at its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The request.
    pub request: Asked,
    /// Status of the answer; `None` when the client went away before there was one. Where what makes the answer panicked, 500, which a
    /// gateway answers then.
    pub status: Option<StatusCode>,
    /// Bytes of the answer's body that were handed on: towards the client, who may have got fewer. An answer that is in memory is
    /// handed on as a whole, also to `HEAD`.
    pub sent: u64,
    /// Whether the whole body was handed on.
    pub complete: bool,
    /// From the request to the end: the last part of the body, or an answer in memory.
    pub took: Duration,
}

/// Calls functions when it is dropped.
pub(super) struct Ending {
    functions: Arc<[OnEnd]>,
    begun: Instant,
    /// Whether the answer went past the layer: another block tells of the end then.
    aside: Option<SteppedAside>,
    ended: Ended,
}

impl Ending {
    pub(super) fn new(functions: &Arc<[OnEnd]>, request: Asked) -> Self {
        let aside = request.extensions().get().cloned();
        let ended = Ended { request, status: None, sent: 0, complete: false, took: Duration::ZERO };
        Self { functions: Arc::clone(functions), begun: Instant::now(), aside, ended }
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
        if self.aside.as_ref().is_some_and(SteppedAside::has_stepped) {
            return;
        }
        if std::thread::panicking() && self.ended.status.is_none() {
            self.ended.status = Some(StatusCode::INTERNAL_SERVER_ERROR);
        }
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
