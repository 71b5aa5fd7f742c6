//! One request and the head of its response on one HTTP/1 connection.
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::request::Parts;
use http::{Response, StatusCode};

use super::super::attempt::Plan;
use super::super::config::{AnswerLimits, Timeouts};
use super::super::forward::ForwardContext;
use super::upload::{Upload, UploadError};
use crate::BodyError;
use crate::http1::{HeadLimits, ParsedResponse, ResponseFault, gather, parse_response, write_request};
use crate::net::{Io, Late, Room};

/// What is sent.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) parts: &'a Parts,
    pub(super) target: &'a str,
    pub(super) forward: &'a ForwardContext<'a>,
}

/// Sends a request and receives the head of the response; both advance in every poll. It runs in the request's own task.
pub(super) struct Exchange<'a> {
    io: &'a Arc<Io>,
    head: Head<'a>,
    timeouts: &'a Timeouts,
    limits: &'a AnswerLimits,
    pub(super) upload: Upload,
    begun: bool,
    /// The socket takes no more; an answer may wait nevertheless.
    write_error: Option<io::Error>,
    clock: Waiting,
    /// What came that is not parsed yet; after the head, the start of the body.
    pub(super) carry: Bytes,
    /// Whether anything came.
    heard: bool,
    interim: u32,
}

/// What the deadline that is set is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// None is set.
    Nothing,
    /// The endpoint is to take more than so many bytes.
    Send(u64),
    /// The endpoint is to answer.
    Answer,
}

/// How an exchange failed.
#[derive(Debug)]
pub(super) enum Broken {
    SendTimeout,
    ReadTimeout,
    /// The connection ended. `stale`: before it brought anything.
    Closed {
        source: Option<io::Error>,
        stale: bool,
    },
    Malformed(&'static str),
    RequestBody(BodyError),
}

impl<'a> Exchange<'a> {
    pub(super) fn new(io: &'a Arc<Io>, head: Head<'a>, plan: &Plan<'a>, upload: Upload) -> Self {
        Self {
            io,
            head,
            timeouts: plan.timeouts,
            limits: plan.answers,
            upload,
            begun: false,
            write_error: None,
            clock: Waiting::Nothing,
            carry: Bytes::new(),
            heard: false,
            interim: 0,
        }
    }

    /// Whether all of the request was sent.
    pub(super) fn is_sent(&self) -> bool {
        self.write_error.is_none() && self.upload.is_finished()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<ParsedResponse, Broken>> {
        self.send(cx)?;
        loop {
            let piece = match ready!(self.io.poll_read(cx, Room::Head)) {
                Ok(piece) if !piece.is_empty() => piece,
                ended => return Poll::Ready(Err(self.ended(ended.err()))),
            };
            self.heard = true;
            if let Some(response) = self.take(piece)? {
                return Poll::Ready(Ok(response));
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let sent = if !self.begun {
            self.begun = true;
            let Head { parts, target, forward } = self.head;
            let begun = self.upload.begin(cx, self.io, |out, framing| {
                write_request(out, &parts.method, target, &parts.headers, |out| forward.write_fields(out), framing);
            });
            match begun {
                // One more round registers for what is missing.
                Ok(()) if !self.upload.is_finished() => self.upload.poll(cx, self.io),
                begun => Poll::Ready(begun),
            }
        } else if self.write_error.is_none() && !self.upload.is_finished() {
            self.upload.poll(cx, self.io)
        } else {
            return Ok(());
        };
        match sent {
            Poll::Ready(Err(UploadError::Body(error))) => return Err(Broken::RequestBody(error)),
            Poll::Ready(Err(UploadError::Io(error))) if self.io.is_late() => return Err(self.ended(Some(error))),
            // An endpoint that does not want the body may have said so (UP-07): read what it said.
            Poll::Ready(Err(UploadError::Io(error))) => self.write_error = Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        self.set_clock();
        Ok(())
    }

    /// While the request goes out the endpoint has to take it, but not to wait for a slow client; then it has to answer.
    fn set_clock(&mut self) {
        let waiting = if self.upload.is_finished() || self.write_error.is_some() {
            Waiting::Answer
        } else if self.upload.is_hungry() {
            Waiting::Nothing
        } else {
            Waiting::Send(self.upload.written())
        };
        if waiting == self.clock {
            return;
        }
        self.clock = waiting;
        match waiting {
            Waiting::Nothing => self.io.disarm(),
            Waiting::Send(_) => self.io.arm(self.timeouts.send, Late::Both),
            Waiting::Answer => self.io.arm(self.timeouts.read, Late::Both),
        }
    }

    fn ended(&mut self, error: Option<io::Error>) -> Broken {
        if self.io.is_late() {
            return match self.clock {
                Waiting::Send(_) => Broken::SendTimeout,
                _ => Broken::ReadTimeout,
            };
        }
        let source = self.write_error.take().or(error);
        Broken::Closed { source, stale: !self.heard }
    }

    /// Adds to what came of the head. The usual case is a whole head in one piece, which is not copied.
    fn take(&mut self, piece: Bytes) -> Result<Option<ParsedResponse>, Broken> {
        if self.carry.is_empty() {
            if let Some(response) = self.parse(&piece)? {
                self.carry = piece;
                return self.accept(response);
            }
            gather(&mut self.carry, &piece);
            return Ok(None);
        }
        if !gather(&mut self.carry, &piece) {
            return Ok(None);
        }
        match self.parse(&self.carry)? {
            Some(response) => self.accept(response),
            None => Ok(None),
        }
    }

    /// Takes the head off the input; goes on to the next one behind interim heads.
    fn accept(&mut self, mut response: ParsedResponse) -> Result<Option<ParsedResponse>, Broken> {
        loop {
            self.carry.advance(response.used);
            let status = response.head.status();
            if !status.is_informational() {
                return Ok(Some(response));
            }
            if status == StatusCode::SWITCHING_PROTOCOLS {
                return if self.may_switch(&response) {
                    Ok(Some(response))
                } else {
                    Err(Broken::Malformed("switch of protocols that was not asked for"))
                };
            }
            self.pass_interim(response.head)?;
            if self.carry.is_empty() {
                return Ok(None);
            }
            match self.parse(&self.carry)? {
                Some(next) => response = next,
                None => return Ok(None),
            }
        }
    }

    /// Whether the endpoint switches to what it was asked for (UPG-02, UPG-04).
    fn may_switch(&self, response: &ParsedResponse) -> bool {
        let asked = self.head.forward.upgrade;
        let answered = response.upgrade.as_ref();
        asked.zip(answered).is_some_and(|(asked, answered)| {
            self.is_sent() && asked.as_bytes().eq_ignore_ascii_case(answered.as_bytes())
        })
    }

    /// `100` is between us and the endpoint; the others go to whoever wants them.
    fn pass_interim(&mut self, interim: Response<()>) -> Result<(), Broken> {
        self.interim += 1;
        if self.interim > self.limits.interim {
            return Err(Broken::Malformed("too many interim responses"));
        }
        if let Some(pass) = self.head.forward.interim
            && interim.status() != StatusCode::CONTINUE
        {
            pass(interim);
        }
        Ok(())
    }

    fn parse(&self, input: &Bytes) -> Result<Option<ParsedResponse>, Broken> {
        let AnswerLimits { header_bytes, header_count, .. } = *self.limits;
        let limits = HeadLimits { header_bytes, field_bytes: header_bytes, header_count, ..HeadLimits::response() };
        parse_response(input, &self.head.parts.method, &limits).map_err(|fault| match fault {
            ResponseFault::Malformed(reason) => Broken::Malformed(reason),
            ResponseFault::TooLarge => Broken::Malformed("head is over the limit"),
        })
    }
}
