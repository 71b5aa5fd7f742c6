//! Answers out: heads and what is ready with one call, the rest as the client takes it.
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;

use super::{Seen, Then, Upgraded, Wire, request_too_long};
use crate::error::{Error, IntoResponse, Response};
use crate::http1::{Connection, Decoded, Decoder, Framing, ResponseOptions, write_response};
use crate::net::Late;
use crate::server::connection::incoming::{Failure, Progress};
use crate::server::connection::outgoing::{Cut, Outgoing};
use crate::server::connection::pace::Pace;
use crate::upgrade::{UpgradeWish, UpgradedIo};
use crate::{Body, into_problem};

/// Room of the scratch buffer below.
const OUT: usize = 16 * 1024;

thread_local! {
    /// Where this thread builds heads and small answers; scratch space, empty between two answers.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(OUT));
}

/// An answer that is not out yet.
pub(super) struct Rest {
    /// To be written first.
    out: Vec<u8>,
    /// So many bytes of it are.
    written: usize,
    /// To be written behind `out`.
    chunk: Bytes,
    body: Outgoing,
    pace: Pace,
}

impl Wire {
    /// Starts the answer; usually that is also its end.
    pub(in super::super) fn begin(&mut self, mut response: Response, cx: &mut Context<'_>) {
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
    pub(in super::super) fn refuse(&mut self, error: Error, cx: &mut Context<'_>) {
        self.alarm = None;
        let mut response = self.own(error);
        self.then = Then::Linger;
        self.write_answer(&mut response, cx);
    }

    /// The same for a head that is faulty or never came to its end.
    pub(super) fn refuse_head(&mut self, error: Error, cx: &mut Context<'_>) {
        let line = self.carry.strip_prefix(b"\r\n").unwrap_or(&self.carry);
        // Whatever else is wrong: a client that asked so takes no body (RFC 9110 §9.3.2).
        (self.is_head, self.version_10) = (line.starts_with(b"HEAD "), false);
        self.refuse(error, cx);
    }

    /// Answers that the service panicked; the connection is unharmed (PAN-01).
    pub(in super::super) fn begin_panicked(&mut self, cx: &mut Context<'_>) {
        self.begin(self.own(Error::Internal("panic")), cx);
    }

    /// An answer of the gateway itself.
    fn own(&self, error: Error) -> Response {
        let response = error.into_response();
        if self.client.options().problem_details { into_problem(response) } else { response }
    }

    /// Passes interim responses on to a client that knows them. They are hints: while the socket is full, further ones
    /// are left out.
    pub(in super::super) fn write_interim(&mut self, heads: Vec<http::Response<()>>, cx: &mut Context<'_>) {
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
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
}
