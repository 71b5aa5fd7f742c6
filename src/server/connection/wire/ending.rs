//! What comes behind an answer: a body that nobody read is read over, and the end is told before it is made.
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::{Then, Wire};
use crate::http1::Decoded;
use crate::net::{Late, Room};

impl Wire {
    /// Reads over the body that nobody read (H1-19).
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
    pub(super) fn revoke(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.lock().revoke();
        }
    }
}
