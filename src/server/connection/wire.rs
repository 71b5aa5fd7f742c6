//! The client's side of a connection: requests in, answers out, deadlines.
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::TE;
use http::{HeaderValue, Method, StatusCode, Version};
use http_body::Body as _;
use tokio::time::{Sleep, sleep};

use super::incoming::{Failure, Incoming, Progress, Slot};
use super::outgoing::{Cut, Outgoing};
use super::pace::Pace;
use crate::error::{Error, IntoResponse, Request, Response};
use crate::http1::{
    Connection, Decoded, Decoder, Framing, ParsedRequest, RequestFault, ResponseOptions, gather, head_end,
    parse_request, write_response,
};
use crate::net::{Io, Late, Room, TICK};
use crate::server::registry::Client;
use crate::upgrade::{UpgradeWish, UpgradedIo};
use crate::{Body, into_problem};

/// A read up to this size has memory of its own; a longer one is a slice of the shared chunk.
const OWN_READ: usize = 4 * 1024;
/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Room of the scratch buffer below.
const OUT: usize = 16 * 1024;

thread_local! {
    /// Where this thread builds heads and small answers; scratch space, empty between two answers.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(OUT));
}

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

/// An answer that is not out yet.
struct Rest {
    /// To be written first.
    out: Vec<u8>,
    /// So many bytes of it are.
    written: usize,
    /// To be written behind `out`.
    chunk: Bytes,
    body: Outgoing,
    pace: Pace,
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

    /// Starts the answer; usually that is also its end.
    pub(super) fn begin(&mut self, mut response: Response, cx: &mut Context<'_>) {
        self.alarm = None;
        if self.slot.is_some() && !self.settle_body(&mut response) {
            self.then = Then::End;
            return;
        }
        if self.client.is_draining() && self.then == Then::Stay {
            self.then = Then::Linger;
        }
        let wish = self.wish.take();
        if response.status().is_informational() {
            match (wish, response.extensions_mut().remove::<UpgradedIo>(), response.status()) {
                (Some(wish), Some(upstream), StatusCode::SWITCHING_PROTOCOLS) => {
                    return self.begin_tunnel(&mut response, *wish, upstream, cx);
                }
                // An interim response is no answer.
                _ => response = self.own(Error::Internal("interim_response")),
            }
        }
        self.write_answer(&mut response, cx);
    }

    /// Decides what becomes of the request's body, now that an answer is there, which may change the answer. False: there
    /// is nobody to answer.
    fn settle_body(&mut self, response: &mut Response) -> bool {
        let Some(slot) = self.slot.take() else { return true };
        let mut shared = slot.lock();
        let silenced = shared.silence();
        match shared.progress {
            Progress::Complete => self.carry = std::mem::take(&mut shared.carry),
            Progress::Failed(failure) => {
                drop(shared);
                self.then = Then::Linger;
                *response = self.own(match failure {
                    Failure::Malformed => Error::BadRequest("request body"),
                    Failure::Slow => Error::RequestTimeout,
                    Failure::Deadline => request_too_long(),
                    Failure::Gone => return false,
                });
            }
            Progress::Dropped => {
                let mut carry = std::mem::take(&mut shared.carry);
                while matches!(shared.decoder.next(&mut carry), Ok(Decoded::Data(_) | Decoded::Trailers(_))) {}
                self.carry = carry;
                let small = shared.decoder.remaining().is_some_and(|left| left <= self.client.limits().drain_bytes);
                if small && !silenced && self.then == Then::Stay {
                    self.then = Then::Drain;
                    let none = Decoder::new(Framing::None, self.client.limits().body);
                    self.drain = Some(Box::new(std::mem::replace(&mut shared.decoder, none)));
                    return true;
                }
                self.then = Then::Linger;
            }
            // An early answer: the upload may go on, but the connection ends with the answer (UP-07).
            Progress::Held | Progress::Revoked => {
                drop(shared);
                self.then = Then::Linger;
                self.slot = Some(slot);
            }
        }
        true
    }

    fn begin_tunnel(&mut self, response: &mut Response, wish: HeaderValue, upstream: UpgradedIo, cx: &mut Context<'_>) {
        let websocket = UpgradeWish(wish.clone()).is_websocket();
        let early = std::mem::take(&mut self.carry);
        self.upgraded = Some(Box::new(Upgraded { early, upstream, websocket }));
        self.io().disarm();
        self.send(response, Framing::None, Connection::Upgrade(wish), cx);
    }

    /// Answers in place of the service, and ends the connection.
    pub(super) fn refuse(&mut self, error: Error, cx: &mut Context<'_>) {
        self.alarm = None;
        let mut response = self.own(error);
        self.then = Then::Linger;
        self.write_answer(&mut response, cx);
    }

    /// The same for a head that is faulty or never came to its end.
    fn refuse_head(&mut self, error: Error, cx: &mut Context<'_>) {
        let line = self.carry.strip_prefix(b"\r\n").unwrap_or(&self.carry);
        // Whatever else is wrong: a client that asked so takes no body (RFC 9110 §9.3.2).
        (self.is_head, self.version_10) = (line.starts_with(b"HEAD "), false);
        self.refuse(error, cx);
    }

    /// Answers that the service panicked; the connection is unharmed (PAN-01).
    pub(super) fn begin_panicked(&mut self, cx: &mut Context<'_>) {
        self.begin(self.own(Error::Internal("panic")), cx);
    }

    /// An answer of the gateway itself.
    fn own(&self, error: Error) -> Response {
        let response = error.into_response();
        if self.client.options().problem_details { into_problem(response) } else { response }
    }

    /// Passes interim responses on to a client that knows them. They are hints: while the socket is full, further ones
    /// are left out.
    pub(super) fn write_interim(&mut self, heads: Vec<http::Response<()>>, cx: &mut Context<'_>) {
        let owes_continue = || self.slot.as_ref().is_some_and(|slot| slot.lock().owes_continue());
        if self.version_10 || self.interim.is_some() || owes_continue() {
            return;
        }
        let mut out = Vec::new();
        for head in heads {
            let options = ResponseOptions { framing: Framing::None, send_length: false, connection: Connection::Stay };
            write_response(&mut out, head.status(), head.headers(), &options);
        }
        // A connection that broke shows when the answer is written.
        let written = match self.io().poll_write(cx, &out, &[]) {
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.interim = out.get(written..).filter(|left| !left.is_empty()).map(Box::from);
    }

    fn write_answer(&mut self, response: &mut Response, cx: &mut Context<'_>) {
        let bodyless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let framing = match response.body().size_hint().exact() {
            _ if bodyless => Framing::None,
            // What the upstream said of the length stays; of a body made here, the length is known.
            Some(bytes) if self.is_head && bytes > 0 => Framing::Length(bytes),
            _ if self.is_head => Framing::None,
            Some(bytes) => Framing::Length(bytes),
            // The end of the connection is the end of the answer.
            None if self.version_10 => {
                self.then = match self.then {
                    Then::Stay => Then::Close,
                    Then::Drain => Then::Linger,
                    then => then,
                };
                Framing::Close
            }
            None => Framing::Chunked,
        };
        if bodyless || self.is_head {
            *response.body_mut() = Body::empty();
        }
        let connection = match self.then {
            Then::Stay | Then::Drain if self.version_10 => Connection::KeepAlive,
            Then::Stay | Then::Drain => Connection::Stay,
            _ => Connection::Close,
        };
        self.send(response, framing, connection, cx);
    }

    /// Writes the head and what the body has ready with one call, and keeps the rest.
    fn send(&mut self, response: &mut Response, framing: Framing, connection: Connection, cx: &mut Context<'_>) {
        let sent = if self.is_head { Framing::None } else { framing };
        let mut body = Outgoing::new(std::mem::take(response.body_mut()), sent, self.te_trailers);
        let send_length = self.is_head || response.status() == StatusCode::NOT_MODIFIED;
        let options = ResponseOptions { framing, send_length, connection };
        let interim = self.interim.take().unwrap_or_default();
        SCRATCH.with_borrow_mut(|out| {
            out.clear();
            out.extend_from_slice(&interim);
            write_response(out, response.status(), response.headers(), &options);
            let mut chunk = Bytes::new();
            if let Poll::Ready(Err(Cut)) = body.poll_fill(cx, out, &mut chunk) {
                // Nothing is sent yet, so the client can be told (UP-03).
                self.then = Then::Linger;
                let error =
                    Error::Upstream { status: StatusCode::BAD_GATEWAY, reason: "body_failed", retry_after: None };
                *response = self.own(error);
                let failed = std::mem::take(response.body_mut()).into_bytes().unwrap_or_default();
                let framing = Framing::Length(failed.len() as u64);
                out.truncate(interim.len());
                let options = ResponseOptions { framing, send_length: false, connection: Connection::Close };
                write_response(out, response.status(), response.headers(), &options);
                out.extend_from_slice(&failed);
                body = Outgoing::new(Body::empty(), Framing::None, false);
            }
            let written = match self.io().poll_write(cx, out, &chunk) {
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(_)) => {
                    self.then = Then::End;
                    return;
                }
                Poll::Pending => 0,
            };
            if written == out.len() + chunk.len() && body.is_done() {
                return;
            }
            let of_out = written.min(out.len());
            chunk.advance(written - of_out);
            let out = out.get(of_out..).unwrap_or_default().to_vec();
            self.rest = Some(Box::new(Rest { out, written: 0, chunk, body, pace: Pace::default() }));
        });
    }

    /// Writes what is left of the answer.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut rest) = self.rest.take() else { return Poll::Ready(()) };
        match self.poll_rest(&mut rest, cx) {
            Poll::Pending => {
                self.rest = Some(rest);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(Cut)) => {
                if rest.body.ends_with_connection() {
                    self.io().reset_on_close();
                }
                self.then = Then::End;
                Poll::Ready(())
            }
        }
    }

    fn poll_rest(&mut self, rest: &mut Rest, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let limits = Arc::clone(self.client.limits());
        loop {
            while rest.written < rest.out.len() || !rest.chunk.is_empty() {
                let head = rest.out.get(rest.written..).unwrap_or_default();
                let written = match self.io().poll_write(cx, head, &rest.chunk) {
                    Poll::Ready(written) => written.map_err(|_| Cut)?,
                    Poll::Pending => {
                        if !rest.pace.is_waiting() {
                            rest.pace.wait(self.io().clock());
                            self.io().arm(limits.write_timeout, Late::Both);
                        }
                        // A body that had nothing when it was asked waits for its upstream, which is to be late for its
                        // own sake and not because this client is slow. So it is asked on, as far as there is room.
                        return match rest.body.poll_fill(cx, &mut rest.out, &mut rest.chunk) {
                            Poll::Ready(Err(Cut)) => Poll::Ready(Err(Cut)),
                            _ => Poll::Pending,
                        };
                    }
                };
                if !rest.pace.progress(self.io().clock(), written, limits.write_rate) {
                    return Poll::Ready(Err(Cut));
                }
                let of_head = written.min(head.len());
                rest.written += of_head;
                rest.chunk.advance(written - of_head);
            }
            rest.out.clear();
            (rest.written, rest.chunk) = (0, Bytes::new());
            if rest.body.is_done() {
                return Poll::Ready(Ok(()));
            }
            match rest.body.poll_fill(cx, &mut rest.out, &mut rest.chunk) {
                Poll::Ready(filled) => filled?,
                Poll::Pending if !rest.out.is_empty() => {}
                Poll::Pending => {
                    if !self.slot.as_ref().is_some_and(|slot| slot.lock().is_waiting()) {
                        // The client owes nothing now; but when it goes, the body has no reader.
                        self.io().disarm();
                    }
                    return match self.poll_watch(cx) {
                        Poll::Ready(Seen::Gone | Seen::Late) => Poll::Ready(Err(Cut)),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Reads over the body that nobody read (H1-19).
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.then == Then::Drain {
            self.then = Then::Draining;
            self.io().arm(self.client.limits().drain_timeout, Late::Read);
        }
        let Some(mut decoder) = self.drain.take() else {
            self.then = Then::End;
            return Poll::Ready(());
        };
        loop {
            match decoder.next(&mut self.carry) {
                Ok(Decoded::Done) => {
                    self.then = Then::Stay;
                    return Poll::Ready(());
                }
                Ok(Decoded::More) => {}
                Ok(Decoded::Data(_) | Decoded::Trailers(_)) => continue,
                Err(_) => break,
            }
            match self.io().poll_read(cx, Room::Body) {
                Poll::Ready(Ok(piece)) if !piece.is_empty() => self.carry = piece,
                Poll::Ready(_) => break,
                Poll::Pending => {
                    self.drain = Some(decoder);
                    return Poll::Pending;
                }
            }
        }
        self.then = Then::End;
        Poll::Ready(())
    }

    /// Waits until the client has seen the end, at most for the time of a drain.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.then == Then::Linger {
            self.then = Then::Lingering;
            self.revoke();
            self.carry = Bytes::new();
            self.io().shutdown_write();
            self.io().arm(self.client.limits().drain_timeout, Late::Both);
        }
        while let Ok(piece) = ready!(self.io().poll_read(cx, Room::Body)) {
            if piece.is_empty() {
                break;
            }
        }
        self.then = Then::End;
        Poll::Ready(())
    }

    /// Takes the request's body away from whoever holds it.
    fn revoke(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.lock().revoke();
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
