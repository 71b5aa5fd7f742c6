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
    /// The endpoint took nothing of the request for too long.
    SendLate,
    /// The response breaks a rule.
    Malformed(&'static str),
}

/// Who is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Waiting {
    /// The client, for more of its body. That is no time of the endpoint's.
    Client,
    /// The endpoint, to take more of the request, of which it has taken so many pieces (`timeout.send`).
    Room(u64),
    /// The endpoint, for its answer (`timeout.read`).
    Answer,
}

/// Sends `head` and `body`; goes on sending until the head of the response is there. Each wait for the endpoint has its
/// time from its beginning on.
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
    let (mut waiting, mut interims) = (Waiting::Answer, 0);
    let mut clock = pin!(sleep(plan.timeouts.read));
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
        let now = match &upload {
            None => Waiting::Answer,
            Some(upload) if upload.is_hungry() => Waiting::Client,
            Some(upload) => Waiting::Room(upload.steps()),
        };
        let (limit, late) = match now {
            Waiting::Client => {
                waiting = now;
                return Poll::Pending;
            }
            Waiting::Room(_) => (plan.timeouts.send, Failed::SendLate),
            Waiting::Answer => (plan.timeouts.read, Failed::Late),
        };
        if std::mem::replace(&mut waiting, now) != now {
            clock.as_mut().reset(Instant::now() + limit);
        }
        clock.as_mut().poll(cx).map(|()| Err(late))
    })
    .await
}
