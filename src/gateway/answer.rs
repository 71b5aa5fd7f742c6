//! The outermost part of every answer's future.
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::{Error, IntoResponse, Response, into_problem};
use crate::service::BoxFuture;

pin_project_lite::pin_project! {
    /// A panic inside ends the request that caused it with a 500, nothing else (security.md PAN-01); it is not polled
    /// again. With `problem`, answers of the gateway itself get a body of RFC 9457.
    pub(super) struct Answer<F> {
        #[pin]
        inner: F,
        problem: bool,
    }
}

impl<F> Answer<F> {
    pub(super) fn new(inner: F, problem: bool) -> Self {
        Self { inner, problem }
    }
}

impl<F: Future<Output = Response>> Future for Answer<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let me = self.project();
        let response = match catch_unwind(AssertUnwindSafe(|| me.inner.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(response)) => response,
            Err(_) => Error::Internal("panic").into_response(),
        };
        Poll::Ready(if *me.problem { into_problem(response) } else { response })
    }
}

/// Makes the future of an answer; a panic on the way to it is an answer, too.
pub(super) fn start(begin: impl FnOnce() -> BoxFuture) -> BoxFuture {
    catch_unwind(AssertUnwindSafe(begin)).unwrap_or_else(|_| ready(Error::Internal("panic").into_response()))
}

/// An answer that is there already.
pub(super) fn ready(response: Response) -> BoxFuture {
    Box::pin(std::future::ready(response))
}
