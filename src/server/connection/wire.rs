//! The client's side of a connection: requests in, answers out, deadlines.
mod answer;
mod ending;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use answer::Rest;
use bytes::{Buf as _, Bytes};
use http::header::TE;
use http::{HeaderValue, Method, StatusCode, Version};
use tokio::time::{Sleep, sleep};

use super::incoming::{Incoming, Progress, Slot};
use crate::Body;
use crate::error::{Error, Request};
use crate::http1::{Decoder, Framing, ParsedRequest, RequestFault, gather, head_end, parse_request};
use crate::net::{Io, Late, Room, TICK};
use crate::server::registry::Client;
use crate::upgrade::{UpgradeWish, UpgradedIo};

/// A read up to this size has memory of its own; a longer one is a slice of the shared chunk.
const OWN_READ: usize = 4 * 1024;
/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What [`Wire::poll_next`] found.
pub(super) enum Next {
    Request(Request),
    /// The preface of HTTP/2; these bytes were read.
    Http2(Bytes),
    /// The answer was a `101`, and its head is written.
    Tunnel(Upgraded),
    End,
}

/// What a tunnel joins.
pub(super) struct Upgraded {
    /// What the client sent behind its request.
    pub(super) early: Bytes,
    pub(super) upstream: UpgradedIo,
    pub(super) websocket: bool,
}

/// What [`Wire::poll_watch`] saw while a request is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The client went away.
    Gone,
    /// The request's time is over.
    Late,
}

/// How the connection goes on after the answer that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Stay,
    /// Read over a body that nobody read, then stay.
    Drain,
    Draining,
    /// Close: the client wants it so and sends no more.
    Close,
    /// Tell the client that it is over and wait a moment: bytes that nobody read would make the close a reset, which
    /// can destroy the answer on its way.
    Linger,
    Lingering,
    End,
}

pub(super) struct Wire {
    client: Arc<Client>,
    /// Input that was not used yet: a part of a head, or further requests.
    carry: Bytes,
    /// The body of the request at hand, while it is not complete.
    slot: Option<Slot>,
    rest: Option<Box<Rest>>,
    /// What becomes of the connection in a tunnel.
    upgraded: Option<Box<Upgraded>>,
    /// The `Upgrade` of the request at hand.
    wish: Option<Box<HeaderValue>>,
    /// A body that is read over.
    drain: Option<Box<Decoder>>,
    /// What the socket did not take of an interim response: it stands before the answer.
    interim: Option<Box<[u8]>>,
    opened: u32,
    /// Tick at which the request at hand is late.
    deadline: u32,
    /// Tells that it is late while nobody reads from the client, so that the deadline on the socket wakes nobody.
    alarm: Option<Pin<Box<Sleep>>>,
    requests: u32,
    then: Then,
    version_10: bool,
    is_head: bool,
    te_trailers: bool,
    /// The first bytes may be those of HTTP/2.
    either: bool,
    /// A part of a head is there, and its deadline runs.
    partial: bool,
    /// `carry` was parsed and is no whole head.
    parsed: bool,
}

impl Wire {
    /// `either`: the first bytes may be the preface of HTTP/2.
    pub(super) fn new(client: Arc<Client>, either: bool) -> Self {
        Self {
            opened: client.io().clock().ticks(),
            client,
            carry: Bytes::new(),
            slot: None,
            rest: None,
            upgraded: None,
            wish: None,
            drain: None,
            interim: None,
            deadline: 0,
            alarm: None,
            requests: 0,
            then: Then::Stay,
            version_10: false,
            is_head: false,
            te_trailers: false,
            either,
            partial: false,
            parsed: false,
        }
    }

    fn io(&self) -> &Arc<Io> {
        self.client.io()
    }

    /// Writes what is left of the answer, and then waits for the next request.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            ready!(self.poll_flush(cx));
            if let Some(upgraded) = self.upgraded.take() {
                return Poll::Ready(Next::Tunnel(*upgraded));
            }
            match self.then {
                Then::Stay => {}
                Then::Drain | Then::Draining => {
                    ready!(self.poll_drain(cx));
                    continue;
                }
                Then::Linger | Then::Lingering => {
                    ready!(self.poll_linger(cx));
                    continue;
                }
                Then::Close | Then::End => return Poll::Ready(Next::End),
            }
            if self.carry.is_empty() {
                self.wait_idle();
            } else if !self.parsed {
                match self.parse(cx) {
                    Some(next) => return Poll::Ready(next),
                    None if self.then != Then::Stay => continue,
                    None => {}
                }
            }
            match ready!(self.io().poll_read(cx, Room::Head)) {
                Ok(piece) if !piece.is_empty() => self.take(piece),
                Ok(_) if self.partial && self.io().is_late() => self.refuse_head(Error::RequestTimeout, cx),
                Ok(_) | Err(_) => return Poll::Ready(Next::End),
            }
        }
    }

    /// Nothing is under way: the connection may be closed by whoever needs its place.
    fn wait_idle(&mut self) {
        self.io().arm(self.client.limits().idle_timeout, Late::Read);
        self.client.set_idle();
        if self.client.is_draining() {
            // A request that has arrived is read even so, and served as the last one.
            self.io().shutdown_read();
        }
    }

    fn take(&mut self, piece: Bytes) {
        if self.carry.is_empty() {
            self.client.set_busy();
            self.carry = piece;
            self.parsed = false;
        } else if gather(&mut self.carry, &piece) {
            self.parsed = false;
        }
    }

    /// Tries what is there; `None` when it is no whole head, or one that is refused.
    fn parse(&mut self, cx: &mut Context<'_>) -> Option<Next> {
        self.parsed = true;
        if self.either {
            let common = self.carry.len().min(PREFACE.len());
            if self.carry.get(..common) == PREFACE.get(..common) {
                if common == PREFACE.len() {
                    return Some(Next::Http2(std::mem::take(&mut self.carry)));
                }
                self.wait_for_head();
                return None;
            }
        }
        let limits = self.client.limits();
        let parsed = if self.carry.len() > OWN_READ {
            // The values of the fields must not hold a whole read chunk.
            let head = head_end(&self.carry, &limits.head).and_then(|end| self.carry.get(..end));
            match head.map(Bytes::copy_from_slice) {
                Some(head) => parse_request(&head, &limits.head),
                None => parse_request(&self.carry, &limits.head),
            }
        } else {
            parse_request(&self.carry, &limits.head)
        };
        match parsed {
            Ok(Some(parsed)) => Some(Next::Request(self.accept(parsed))),
            Ok(None) => {
                self.wait_for_head();
                None
            }
            Err(fault) => {
                self.refuse_head(refusal(fault), cx);
                None
            }
        }
    }

    /// The clock of a head runs from its first byte and is not wound up again (LIM-06).
    fn wait_for_head(&mut self) {
        if !self.partial {
            self.partial = true;
            self.io().arm(self.client.limits().head_timeout, Late::Read);
            // What is slow to come must not hold a whole read chunk.
            if self.carry.len() > OWN_READ {
                self.carry = Bytes::copy_from_slice(&self.carry);
            }
        }
    }

    fn accept(&mut self, parsed: ParsedRequest) -> Request {
        let ParsedRequest { head, framing, keep_alive, expect_continue, upgrade, te_trailers, used, .. } = parsed;
        if used >= self.carry.len() {
            self.carry = Bytes::new();
        } else {
            self.carry.advance(used);
        }
        (self.either, self.partial, self.parsed) = (false, false, false);
        self.version_10 = head.version() == Version::HTTP_10;
        self.is_head = *head.method() == Method::HEAD;
        self.te_trailers = te_trailers;
        self.requests = self.requests.saturating_add(1);
        let limits = Arc::clone(self.client.limits());
        let now = self.io().clock().ticks();
        let aged = TICK * now.saturating_sub(self.opened) >= limits.connection_age;
        self.then = match keep_alive {
            false => Then::Close,
            // The client does not know, and may have sent more.
            true if aged || self.requests >= limits.requests_per_connection => Then::Linger,
            true => Then::Stay,
        };
        self.deadline = now.saturating_add(ticks(limits.request_timeout));
        self.io().arm(limits.request_timeout, Late::Read);
        let body = match framing {
            Framing::Length(bytes) if self.carry.len() as u64 >= bytes => {
                // The length fits into `usize`: so many bytes are there.
                Body::from(self.carry.split_to(usize::try_from(bytes).unwrap_or_default()))
            }
            framing if framing.is_empty() => Body::empty(),
            framing => {
                let decoder = Decoder::new(framing, limits.body);
                let carry = std::mem::take(&mut self.carry);
                let io = Arc::clone(self.io());
                let (body, slot) = Incoming::new(io, limits, decoder, carry, expect_continue, self.deadline);
                self.slot = Some(slot);
                Body::stream(body)
            }
        };
        let mut request = head.map(|()| body);
        if te_trailers {
            // The one word of `TE` that goes on (security.md HOP-01).
            request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        }
        if let Some(wish) = upgrade {
            request.extensions_mut().insert(UpgradeWish(wish.clone()));
            self.wish = Some(Box::new(wish));
        }
        request
    }

    /// Looks after the client while its request is served: whether it is still there, and whether it is served in time.
    pub(super) fn poll_serving(&mut self, cx: &mut Context<'_>) -> Poll<Seen> {
        if let Poll::Ready(seen) = self.poll_watch(cx) {
            return Poll::Ready(seen);
        }
        let is_read = match &self.slot {
            Some(slot) => slot.lock().is_waiting(),
            None => self.carry.len() < self.client.limits().pipeline_bytes,
        };
        if is_read {
            return Poll::Pending;
        }
        let left = TICK * self.deadline.saturating_sub(self.io().clock().ticks());
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(left)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Seen::Late)
    }

    /// Sees the client go, and reads what it sends next.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<Seen> {
        if let Some(slot) = &self.slot {
            let mut shared = slot.lock();
            if shared.progress != Progress::Complete {
                // Whoever reads the body sees the client go.
                shared.watch(cx);
                return Poll::Pending;
            }
            self.carry = std::mem::take(&mut shared.carry);
            drop(shared);
            self.slot = None;
        }
        loop {
            if self.carry.len() >= self.client.limits().pipeline_bytes {
                return Poll::Pending;
            }
            match ready!(self.io().poll_read(cx, Room::Head)) {
                Ok(piece) if !piece.is_empty() => {
                    gather(&mut self.carry, &piece);
                }
                Ok(_) if self.io().is_late() => return Poll::Ready(Seen::Late),
                // The reading half was shut by the drain, not by the client.
                Ok(_) if self.client.is_draining() => return Poll::Pending,
                Ok(_) | Err(_) => return Poll::Ready(Seen::Gone),
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.slot.is_some() {
            // The holder of the body also holds the socket, which is to be closed now.
            self.revoke();
            self.io().shutdown();
        }
    }
}

/// The answer to a request that the codec refuses.
fn refusal(fault: RequestFault) -> Error {
    match fault {
        RequestFault::Malformed(what) => Error::BadRequest(what),
        RequestFault::Method(status) => Error::MethodRefused(status),
        RequestFault::Expectation => Error::ExpectationFailed,
        RequestFault::LineTooLong | RequestFault::HeadTooLarge | RequestFault::Version => {
            Error::HeadRefused(fault.status())
        }
    }
}

/// The answer when a request took too long (LIM-13).
pub(super) fn request_too_long() -> Error {
    Error::Upstream { status: StatusCode::GATEWAY_TIMEOUT, reason: "request_deadline", retry_after: None }
}

/// A time in whole ticks, rounded up.
fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX)
}
