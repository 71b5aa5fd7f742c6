//! One request on one stream, until the head of its response.
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{Request, Response, StatusCode};
use tokio::time::{Instant, sleep};

use super::super::attempt::Plan;
use super::super::forward::ForwardContext;
use super::upload::{Stopped, Upload};
use crate::{Body, BodyError};

/// A response, and what is still to be sent of its request.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) response: Response<RecvStream>,
    pub(super) upload: Option<Upload>,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection takes no more streams: nothing was sent.
    Unsent(h2::Error, Body),
    /// The stream or the connection failed. A body of which nothing was taken comes back.
    Stream(h2::Error, Option<Body>),
    /// The client's body did.
    Body(BodyError),
    /// No head in time.
    Late,
    /// The response breaks a rule.
    Malformed(&'static str),
}

/// Sends `head` and `body`; goes on sending until the head of the response is there.
///
/// The time counts from when the endpoint last took something of the request; while the client is slow with its body it
/// does not count at all.
pub(super) async fn call(
    mut sender: SendRequest<Bytes>,
    head: Request<()>,
    body: Body,
    forward: &ForwardContext<'_>,
    plan: &Plan<'_>,
) -> Result<Called, Failed> {
    let (mut response, mut upload) = match sender.send_request(head, body.is_empty()) {
        Ok((response, _)) if body.is_empty() => (response, None),
        Ok((response, stream)) => (response, Some(Upload::new(stream, body))),
        Err(error) => return Err(Failed::Unsent(error, body)),
    };
    let limit = plan.timeouts.read;
    let mut clock = pin!(sleep(limit));
    let (mut steps, mut interims) = (0, 0);
    std::future::poll_fn(|cx| {
        if let Some(sending) = &mut upload {
            match sending.poll(cx) {
                Poll::Ready(Err(Stopped::Body(error))) => return Poll::Ready(Err(Failed::Body(error))),
                // Why the peer wants no more is told by its response.
                Poll::Ready(Ok(()) | Err(Stopped::Peer)) => upload = None,
                Poll::Pending => {}
            }
        }
        while let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            interims += 1;
            if interims > plan.answers.interim {
                return Poll::Ready(Err(Failed::Malformed("too many interim responses")));
            }
            if let Some(pass) = forward.interim
                && interim.status() != StatusCode::CONTINUE
            {
                pass(interim);
            }
        }
        match std::pin::Pin::new(&mut response).poll(cx) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(Called { response, upload: upload.take() })),
            Poll::Ready(Err(error)) => {
                return Poll::Ready(Err(Failed::Stream(error, upload.take().and_then(Upload::into_untouched))));
            }
            Poll::Pending => {}
        }
        while clock.as_mut().poll(cx).is_ready() {
            let (hungry, now) = upload.as_ref().map_or((false, steps), |upload| (upload.is_hungry(), upload.steps()));
            if !hungry && now == steps {
                return Poll::Ready(Err(Failed::Late));
            }
            steps = now;
            clock.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    })
    .await
}
