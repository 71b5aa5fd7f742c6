//! The outermost part of every answer's future.
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::{Error, IntoResponse, Response, into_problem};
use crate::grpc::into_call_status;
use crate::service::BoxFuture;

/// The form in which a client gets the gateway's own answers, those of plugins among them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they were made.
    AsMade,
    /// With a body of RFC 9457.
    Problem,
    /// As the status of a gRPC call.
    CallStatus,
}

impl Form {
    /// The form for a client that makes gRPC calls, or does not.
    pub(super) fn of(is_call: bool, problem: bool) -> Self {
        match (is_call, problem) {
            (true, _) => Self::CallStatus,
            (false, true) => Self::Problem,
            (false, false) => Self::AsMade,
        }
    }

    fn give(self, response: Response) -> Response {
        match self {
            Self::AsMade => response,
            Self::Problem => into_problem(response),
            Self::CallStatus => into_call_status(response),
        }
    }
}

pin_project_lite::pin_project! {
    /// A panic inside ends the request that caused it with a 500, nothing else (security.md PAN-01); it is not polled
    /// again. Answers of the gateway itself get their form here.
    pub(super) struct Answer<F> {
        #[pin]
        inner: F,
        form: Form,
    }
}

impl<F> Answer<F> {
    pub(super) fn new(inner: F, form: Form) -> Self {
        Self { inner, form }
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
        Poll::Ready(me.form.give(response))
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
