//! One stream, as a task of its own: the service's answer to its request, and that answer's way out.
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT};

use super::super::tunnel;
use super::super::wire::{Upgraded, request_too_long};
use super::alarm::Lent;
use super::answer::{Answer, prepare};
use super::download::{Download, End};
use super::upload::Told;
use super::websocket::Tunnel;
use crate::error::{Error, IntoResponse, Response};
use crate::server::registry::Client;
use crate::upgrade::UpgradedIo;
use crate::{Body, grpc, interim, into_problem};

/// What the streams of a connection tell it.
pub(super) struct Streams {
    pub(super) client: Arc<Client>,
    /// Streams whose task is not over, and request bodies that somebody has.
    open: AtomicUsize,
    /// Streams that the client reset before their answer was out, since it was last asked.
    given_up: AtomicU32,
    /// A stream was reset because the client did not take its answer, and none has moved since.
    stalled: AtomicBool,
    /// Bytes that the connection has written.
    written: AtomicU64,
}

impl Streams {
    pub(super) fn new(client: Arc<Client>) -> Arc<Self> {
        let (open, given_up, stalled, written) = Default::default();
        Arc::new(Self { client, open, given_up, stalled, written })
    }

    /// Counts one more stream, or body of one, until what comes back is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        if self.open.fetch_add(1, SeqCst) == 0 {
            self.client.set_busy();
        }
        Open(Arc::clone(self))
    }

    pub(super) fn count(&self) -> usize {
        self.open.load(Relaxed)
    }

    pub(super) fn give_up(&self) {
        self.given_up.fetch_add(1, Relaxed);
    }

    pub(super) fn take_given_up(&self) -> u32 {
        if self.given_up.load(Relaxed) == 0 { 0 } else { self.given_up.swap(0, Relaxed) }
    }

    /// So many bytes are written by now.
    pub(super) fn set_written(&self, bytes: u64) {
        self.written.store(bytes, Relaxed);
    }

    /// The tick, and the bytes that the connection has written until now.
    pub(super) fn progress(&self) -> (u32, u64) {
        (self.client.io().clock().ticks(), self.written.load(Relaxed))
    }

    /// A stream ended because the client did not take its answer; or did take it.
    pub(super) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Relaxed);
    }

    /// Whether the connection is one that is not read from: its last stream ended so (H2-11).
    pub(super) fn has_stalled(&self) -> bool {
        self.stalled.load(Relaxed) && self.count() == 0
    }

    /// An answer of the gateway itself.
    pub(super) fn own(&self, error: Error, is_call: bool) -> Response {
        let response = error.into_response();
        match self.client.options().problem_details {
            _ if is_call => grpc::into_call_status(response),
            true => into_problem(response),
            false => response,
        }
    }
}

/// One of the streams that are open, or its request's body.
pub(super) struct Open(Arc<Streams>);

impl Open {
    pub(super) fn streams(&self) -> Arc<Streams> {
        Arc::clone(&self.0)
    }
}

impl std::ops::Deref for Open {
    type Target = Streams;

    fn deref(&self) -> &Streams {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, SeqCst) == 1 {
            self.0.client.set_idle();
            // The connection may have opened one in between, which is not to count as idle.
            if self.0.open.load(SeqCst) > 0 {
                self.0.client.set_busy();
            }
        }
    }
}

/// What is known of a stream before its service is called.
pub(super) struct Side {
    pub(super) open: Open,
    pub(super) respond: SendResponse<Bytes>,
    pub(super) alarm: Lent,
    /// The request's body, if it has one.
    pub(super) upload: Option<Arc<Told>>,
    /// What the client sends to a WebSocket, if it asked for one.
    pub(super) tunnel: Option<RecvStream>,
    /// Tick at which the answer is late (LIM-13).
    pub(super) deadline: u32,
    pub(super) is_head: bool,
    /// It is a gRPC call.
    pub(super) is_call: bool,
}

pin_project_lite::pin_project! {
    /// The task of a stream. A panic of the service ends this stream alone (PAN-01).
    pub(super) struct Stream<F> {
        #[pin]
        call: Option<F>,
        // What is answered instead of a call.
        refusal: Option<Error>,
        side: Side,
        // The answer that is under way.
        rest: Option<Rest>,
    }
}

#[expect(clippy::large_enum_variant, reason = "nearly all are downloads, and a box for each is what it would cost")]
enum Rest {
    Download { stream: SendStream<Bytes>, download: Download },
    Tunnel(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl<F> Stream<F> {
    pub(super) fn new(side: Side, call: F) -> Self {
        Self { call: Some(call), refusal: None, side, rest: None }
    }

    /// A stream that is answered without the service.
    pub(super) fn refused(side: Side, error: Error) -> Self {
        Self { call: None, refusal: Some(error), side, rest: None }
    }
}

impl<F> Future for Stream<F>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut me = self.project();
        if let Some(call) = me.call.as_mut().as_pin_mut() {
            let listener = interim::Listener::new();
            let polled = catch_unwind(AssertUnwindSafe(|| call.poll(cx)));
            me.side.write_interim(listener.heard());
            let response = match polled {
                Ok(Poll::Ready(Ok(response))) => Ok(response),
                Ok(Poll::Pending) => {
                    if me.side.respond.poll_reset(cx).is_ready() {
                        // All that is done for the stream ends here (H2-09).
                        me.side.open.give_up();
                        return Poll::Ready(());
                    }
                    match me.side.is_late(cx) {
                        false => return Poll::Pending,
                        true => Err(request_too_long()),
                    }
                }
                Err(_) => Err(Error::Internal("panic")),
            };
            // What the service still holds goes before its answer is sent; its end may panic, too.
            let dropped = catch_unwind(AssertUnwindSafe(|| me.call.set(None)));
            let response = if dropped.is_ok() { response } else { Err(Error::Internal("panic")) };
            *me.rest = me.side.begin(response, cx);
        }
        if let Some(error) = me.refusal.take() {
            *me.rest = me.side.begin(Err(error), cx);
        }
        let (stream, download) = match me.rest {
            None => return Poll::Ready(()),
            Some(Rest::Tunnel(tunnel)) => return tunnel.as_mut().poll(cx),
            Some(Rest::Download { stream, download }) => (stream, download),
        };
        match ready!(download.poll_send(stream, &me.side.alarm, &me.side.open, cx)) {
            End::Complete => me.side.open.set_stalled(false),
            End::Failed => {}
            End::Gone => me.side.open.give_up(),
            End::Stalled => me.side.open.set_stalled(true),
        }
        Poll::Ready(())
    }
}

impl Side {
    /// Whether the answer is late. Has the task woken when it is, or when the client's `100` is to be sent.
    fn is_late(&mut self, cx: &Context<'_>) -> bool {
        self.alarm.set(self.deadline, cx);
        if self.upload.as_ref().is_some_and(|upload| upload.take_interim()) {
            self.send_interim(http::Response::builder().status(StatusCode::CONTINUE).body(()).unwrap_or_default());
        }
        self.open.client.io().clock().ticks() >= self.deadline
    }

    fn write_interim(&mut self, heads: Vec<http::Response<()>>) {
        for head in heads {
            self.send_interim(head);
        }
    }

    /// They are hints: one that cannot be sent is left out.
    fn send_interim(&mut self, head: http::Response<()>) {
        let _ = self.respond.send_informational(head);
    }

    /// Starts the answer; usually that is also its end.
    fn begin(&mut self, response: Result<Response, Error>, cx: &mut Context<'_>) -> Option<Rest> {
        self.alarm.clear();
        let mut response = response.unwrap_or_else(|error| self.open.own(error, self.is_call));
        if let Some(upload) = &self.upload {
            upload.set_answered();
            if upload.is_slow() {
                response = self.open.own(Error::RequestTimeout, self.is_call);
            }
        }
        if let Some(receive) = self.tunnel.take() {
            let upstream = response.extensions_mut().remove::<UpgradedIo>();
            match (response.status(), upstream) {
                (StatusCode::SWITCHING_PROTOCOLS, Some(upstream)) => {
                    return self.begin_tunnel(response, receive, upstream);
                }
                // To the client any success would be that of its `CONNECT`.
                (status, _) if status.is_success() => response = self.own_failure("upgrade_refused"),
                _ => {}
            }
        }
        if response.status().is_informational() {
            // An interim response is no answer.
            response = self.open.own(Error::Internal("interim_response"), self.is_call);
        }
        let Answer { mut head, body, length } = prepare(response, self.is_head);
        let mut download = Download::new(body, length);
        // What is there already shows whether the body is one to be sent (UP-03).
        let _ = download.poll_next(cx);
        if download.has_failed() {
            let answer = prepare(self.own_failure("body_failed"), self.is_head);
            head = answer.head;
            download = Download::new(answer.body, answer.length);
        }
        match self.respond.send_response(head, download.is_empty()) {
            Err(_) => {
                self.open.give_up();
                None
            }
            Ok(_) if download.is_empty() => {
                self.open.set_stalled(false);
                None
            }
            Ok(stream) => Some(Rest::Download { stream, download }),
        }
    }

    /// The upstream's `101` is a success here, and the stream is the tunnel (RFC 8441 §5).
    fn begin_tunnel(&mut self, response: Response, receive: RecvStream, upstream: UpgradedIo) -> Option<Rest> {
        let Answer { mut head, .. } = prepare(response.map(|_| Body::empty()), true);
        *head.status_mut() = StatusCode::OK;
        head.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        head.headers_mut().remove(CONTENT_LENGTH);
        let Ok(send) = self.respond.send_response(head, false) else {
            self.open.give_up();
            return None;
        };
        let upgraded = Upgraded { early: Bytes::new(), upstream, websocket: true };
        let streams = self.open.streams();
        let mut stream = Tunnel::new(receive, send, self.alarm.share(), Arc::clone(&streams));
        Some(Rest::Tunnel(Box::pin(async move {
            // One that does not end well is reset by being dropped.
            if tunnel::relay(&streams.client, upgraded, &mut stream).await.is_ok() {
                streams.set_stalled(false);
            }
        })))
    }

    fn own_failure(&self, reason: &'static str) -> Response {
        let error = Error::Upstream { status: StatusCode::BAD_GATEWAY, reason, retry_after: None };
        self.open.own(error, self.is_call)
    }
}
