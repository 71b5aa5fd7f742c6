//! Connections whose version of HTTP TLS agrees upon.
use std::sync::Arc;

use tokio::time::Instant;

use super::super::attempt::{Failure, Plan};
use super::super::error::Error;
use super::super::http2::{Spoken, Stream};
use super::super::protocol::Wire;
use super::open::Label;
use super::remote::{Lease, Remote};

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Agreed {
    Http1(Lease),
    Http2(Stream),
}

impl Remote {
    /// A stream or a connection that waits, or else a new one.
    pub(super) async fn agree(self: &Arc<Self>, label: Label<'_>, plan: &Plan<'_>) -> Result<Agreed, Failure> {
        if let Some(stream) = self.streams().waiting(label, plan) {
            return Ok(Agreed::Http2(stream));
        }
        if let Some(lease) = self.idle(label, plan).await {
            return Ok(Agreed::Http1(lease));
        }
        Box::pin(self.agree_anew(label, plan)).await.map_err(Failure::before)
    }

    /// As long as nobody knows what the endpoint speaks, or if it is HTTP/2, one connection is opened at a time: those who
    /// wait may become streams of it.
    async fn agree_anew(self: &Arc<Self>, label: Label<'_>, plan: &Plan<'_>) -> Result<Agreed, Error> {
        let streams = self.streams();
        let until = Instant::now() + plan.timeouts.connect;
        let _turn = loop {
            if streams.spoken() == Spoken::Http1 {
                break None;
            }
            let turn = streams.turn(self, until, plan).await?;
            if let Some(stream) = streams.waiting(label, plan).or_else(|| streams.crowded(label, plan)) {
                return Ok(Agreed::Http2(stream));
            }
            if streams.spoken() != Spoken::Http1 {
                break Some(turn);
            }
        };
        let opened = self.open(label, Wire::Either, until, plan).await?;
        if opened.http2 {
            return Ok(Agreed::Http2(streams.adopt(self, opened.io, label, plan).await?));
        }
        streams.speaks_http1();
        Ok(Agreed::Http1(self.lease(opened.io, label, plan)))
    }
}
