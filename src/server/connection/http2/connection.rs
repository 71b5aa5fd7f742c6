//! The future of a connection: turns between `h2`, the service, the socket and the clocks.
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Method;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::Service;

use super::super::wire::request_too_long;
use super::alarm::{Alarms, due};
use super::link::{End, Link, Seen};
use super::request::{canonical, length};
use super::stream::{Side, Stream, Streams};
use super::upload::{Announced, Upload};
use super::websocket;
use super::window::{STREAM_WINDOW, Wait};
use crate::error::{Error, Request, Response};
use crate::net::{Gather, Late, TICK};
use crate::server::Limits;
use crate::server::registry::Client;
use crate::{Body, grpc};

/// Bytes of the connection's window (H2-08).
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that may be reset before anybody looked at them; over it `h2` ends the connection (H2-09).
const UNSEEN_RESETS: usize = 100;
/// Streams of a second, answered before their request's body was there, of which `h2` knows that what still comes is no
/// fault of the client.
const ENDED_EARLY: usize = 1000;
/// Bytes by which `DATA` frames that nobody has read yet may fall short of 256 each: 16,000 frames of a few bytes, so that
/// a slow upload of small messages is held up by its window, and is not the end of the connection.
const SMALL_FRAMES: usize = 4 * 1024 * 1024;

/// The least time that a client has to answer to the announcement of the end (H2-13).
const GOODBYE: Duration = Duration::from_secs(5);

/// Serves the connection; `early` was read of it already.
pub(in super::super) async fn run<S>(client: Arc<Client>, service: S, early: Bytes)
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let link = Link::new(Arc::clone(&client), early);
    client.set_busy();
    client.io().disarm();
    if let Some(h2) = shake_hands(&link, client.limits()).await {
        let mut connection = Connection::new(h2, service, Arc::clone(&link), &client);
        let mut gather = Gather::default();
        poll_fn(|cx| gather.poll(cx, |cx| connection.poll(cx))).await;
    }
    // The client gets a moment to read what was said last: bytes that nobody read would make the close a reset, which can
    // destroy it.
    link.begin_last();
    if poll_fn(|cx| link.poll_flush(cx)).await.is_ok() {
        client.io().shutdown_write();
        client.io().arm(client.limits().drain_timeout, Late::Both);
        poll_fn(|cx| link.poll_linger(cx)).await;
    }
}

type H2 = h2::server::Connection<End, Bytes>;

/// Reads the client's preface, which is to come as soon as a request's head would (LIM-06).
async fn shake_hands(link: &Arc<Link>, limits: &Limits) -> Option<Box<H2>> {
    let mut handshake = Box::pin(
        Builder::new()
            .max_concurrent_streams(limits.max_concurrent_streams)
            .max_header_list_size(limits.header_list_bytes)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(STREAM_WINDOW as usize)
            .enable_connect_protocol()
            .max_pending_accept_reset_streams(UNSEEN_RESETS)
            .max_concurrent_reset_streams(ENDED_EARLY)
            .data_frame_budget(SMALL_FRAMES)
            // The sentry counts them by time.
            .max_local_error_reset_streams(None)
            .handshake(End(Arc::clone(link))),
    );
    let shaken = poll_fn(|cx| {
        let polled = handshake.as_mut().poll(cx);
        if link.seen().ended {
            return Poll::Ready(None);
        }
        // An error shows when it is read next.
        let _ = link.poll_flush(cx);
        polled.map(|shaken| shaken.ok().map(Box::new))
    });
    timeout(limits.head_timeout, shaken).await.ok().flatten()
}

/// A connection that serves.
struct Connection<S> {
    h2: Box<H2>,
    service: S,
    /// A request for which the service is not ready.
    waiting: Option<Box<(Request, Side)>>,
    streams: Arc<Streams>,
    link: Arc<Link>,
    alarms: Alarms,
    /// Requests so far.
    accepted: u32,
    /// Tick at which it began.
    began: u32,
    /// Tick since which it has no stream.
    idle_since: Option<u32>,
    /// The wait for the client to take what is left of answers, while nothing else is under way.
    rest: Option<Wait>,
    /// Tick at which its end was announced.
    ending_since: Option<u32>,
    /// No stream is accepted any more: `h2` says its last word.
    aborted: bool,
    look: Pin<Box<Sleep>>,
    /// The next look is a long way off, since nothing is to be looked at.
    resting: bool,
    /// Wakes the task when the server drains; gone once it has.
    drained: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> Connection<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    fn new(h2: Box<H2>, service: S, link: Arc<Link>, client: &Arc<Client>) -> Self {
        client.set_idle();
        Self {
            h2,
            service,
            waiting: None,
            streams: Streams::new(Arc::clone(client)),
            link,
            alarms: Alarms::default(),
            accepted: 0,
            began: client.io().clock().ticks(),
            idle_since: None,
            rest: None,
            ending_since: None,
            aborted: false,
            // At once, since a drain may be under way.
            look: Box::pin(sleep(Duration::ZERO)),
            resting: false,
            drained: Some(Box::pin(client.drained())),
        }
    }

    fn now(&self) -> u32 {
        self.streams.client.io().clock().ticks()
    }

    /// Ready when `h2` is through. What it said last may still have to be written.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.streams.client.is_draining() {
                self.end();
            }
            if self.poll_streams(cx).is_ready() {
                return Poll::Ready(());
            }
            let given_up = self.streams.take_given_up();
            if given_up > 0 {
                self.link.fault(given_up);
            }
            let seen = self.link.seen();
            self.streams.set_written(seen.written);
            if self.heed(seen.over, seen.ended) {
                continue;
            }
            if matches!(self.link.poll_flush(cx), Poll::Ready(Err(_))) {
                return Poll::Ready(());
            }
            if self.resting && (self.streams.count() > 0 || seen.block_since.is_some()) {
                self.look_after(TICK);
            }
            if self.look.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.look_at_clocks(seen, cx);
        }
    }

    /// Lets `h2` work, and takes what it brings.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(waiting) = self.waiting.take() {
                let (request, side) = *waiting;
                self.call(request, side, cx);
            }
            if self.waiting.is_some() || self.aborted {
                return self.h2.poll_closed(cx).map(drop);
            }
            match ready!(self.h2.poll_accept(cx)) {
                Some(Ok((request, respond))) => self.accept(request, respond, cx),
                // How a connection ends is of no use to anybody here.
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
    }

    /// Acts upon what was seen of the client; true when `h2` has something to say about it.
    fn heed(&mut self, over: bool, ended: bool) -> bool {
        if self.aborted {
            return false;
        }
        if over {
            self.abort(Reason::ENHANCE_YOUR_CALM);
            return true;
        }
        if ended {
            if !self.h2.has_streams() {
                // It may have been us who ended it, to have the place.
                self.abort(Reason::NO_ERROR);
                return true;
            }
            // A drain may have ended it while a request was on its way, which is served.
            if !self.streams.client.is_draining() {
                return self.link.tell_end();
            }
        }
        false
    }

    /// Announces the end; what is open is answered (H2-13).
    fn end(&mut self) {
        if self.ending_since.is_none() {
            self.ending_since = Some(self.now());
            self.h2.graceful_shutdown();
            self.look_after(TICK);
        }
    }

    /// Ends the connection with all that is open.
    fn abort(&mut self, reason: Reason) {
        self.aborted = true;
        self.waiting = None;
        self.link.begin_last();
        self.h2.abrupt_shutdown(reason);
    }

    fn look_after(&mut self, time: Duration) {
        self.resting = time > TICK;
        self.look.as_mut().reset(Instant::now() + time);
    }

    /// Called a few times a second while there are streams, and when a connection without one may be over.
    fn look_at_clocks(&mut self, seen: Seen, cx: &mut Context<'_>) {
        let (now, limits) = (self.now(), Arc::clone(self.streams.client.limits()));
        let over = |since: u32, time| due(since, time) <= now;
        // Has the task woken by a drain.
        if self.drained.as_mut().is_some_and(|drained| drained.as_mut().poll(cx).is_ready()) {
            self.drained = None;
        }
        self.alarms.look(now);
        if self.waiting.as_ref().is_some_and(|waiting| waiting.1.deadline <= now)
            && let Some(waiting) = self.waiting.take()
        {
            tokio::spawn(Stream::<S::Future>::refused(waiting.1, request_too_long()));
        }
        if self.aborted {
            return self.look_after(TICK);
        }
        if seen.block_since.is_some_and(|since| over(since, limits.head_timeout)) {
            return self.abort(Reason::ENHANCE_YOUR_CALM);
        }
        if self.streams.has_stalled() {
            return self.abort(Reason::ENHANCE_YOUR_CALM);
        }
        if over(self.began, limits.connection_age) {
            self.end();
        }
        if self.streams.count() > 0 || self.h2.has_streams() {
            self.idle_since = None;
            let waits = self.streams.count() == 0;
            let rest = self.rest.take().unwrap_or(Wait { since: now, written: seen.written });
            if waits && rest.blamed(now, seen.written, &limits) >= due(0, limits.write_timeout) {
                // A window that was made smaller holds back what was given to `h2` before.
                return self.abort(Reason::ENHANCE_YOUR_CALM);
            }
            self.rest = waits.then_some(rest);
            return self.look_after(TICK);
        }
        self.rest = None;
        self.alarms.shrink();
        let idle_since = *self.idle_since.get_or_insert(now);
        match self.ending_since {
            // Whoever does not answer to the announcement had time to.
            Some(since) if over(since, limits.drain_timeout) => self.abort(Reason::NO_ERROR),
            Some(_) => self.look_after(TICK),
            None if over(idle_since, limits.idle_timeout) => self.end(),
            None => {
                let left = limits.connection_age.saturating_sub(TICK * now.saturating_sub(self.began));
                self.look_after(limits.idle_timeout.min(left) + 2 * TICK);
            }
        }
    }

    fn accept(&mut self, request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>, cx: &mut Context<'_>) {
        // Most streams are over before anybody looks.
        self.idle_since = None;
        let limits = Arc::clone(self.streams.client.limits());
        if self.ending_since.is_some_and(|since| due(since, limits.drain_timeout.max(GOODBYE)) <= self.now()) {
            // Whoever does not answer to the announcement is not served for ever.
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        self.accepted = self.accepted.saturating_add(1);
        if self.accepted >= limits.requests_per_connection {
            self.end();
        }
        if respond.poll_reset(cx).is_ready() {
            self.streams.give_up();
            return;
        }
        let is_call = grpc::is_call(&request);
        let (mut head, stream) = request.into_parts();
        let judged = websocket::translate(&mut head)
            .and_then(|websocket| Ok((websocket, canonical(&mut head, limits.head.header_count)?)));
        let mut side = Side {
            open: self.streams.open(),
            respond,
            alarm: self.alarms.lend(),
            upload: None,
            tunnel: None,
            deadline: due(self.now(), limits.request_timeout),
            is_head: head.method == Method::HEAD,
            is_call,
        };
        let (websocket, waits) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                tokio::spawn(Stream::<S::Future>::refused(side, error));
                return;
            }
        };
        let body = if websocket {
            side.tunnel = Some(stream);
            Body::empty()
        } else if stream.is_end_stream() {
            Body::empty()
        } else {
            let announced = Announced { length: length(&head.headers), waits, is_call };
            let owner = side.alarm.share();
            let (upload, told) = Upload::new(stream, self.streams.open(), self.alarms.lend(), owner, announced);
            side.upload = Some(told);
            Body::stream(upload)
        };
        self.call(Request::from_parts(head, body), side, cx);
    }

    /// Calls the service, or keeps the request until it is ready. A panic is this request's alone (PAN-01).
    fn call(&mut self, request: Request, mut side: Side, cx: &mut Context<'_>) {
        let service = &mut self.service;
        let called = match catch_unwind(AssertUnwindSafe(|| service.poll_ready(cx))) {
            Ok(Poll::Ready(Ok(()))) => catch_unwind(AssertUnwindSafe(|| service.call(request))),
            Ok(Poll::Pending) => {
                if side.respond.poll_reset(cx).is_ready() {
                    self.streams.give_up();
                } else {
                    self.waiting = Some(Box::new((request, side)));
                }
                return;
            }
            Err(panic) => Err(panic),
        };
        match called {
            Ok(call) => tokio::spawn(Stream::new(side, call)),
            Err(_) => tokio::spawn(Stream::<S::Future>::refused(side, Error::Internal("panic"))),
        };
    }
}
