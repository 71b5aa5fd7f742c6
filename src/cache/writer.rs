//! An answer on its way into a zone.
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::disk::DiskWriter;
use super::memory::MemoryWriter;
use super::{Flight, Landing, Stored};

/// An answer on its way into a zone. Dropped it leaves nothing behind.
#[derive(Debug)]
pub(crate) enum Writer {
    Memory(MemoryWriter),
    Disk(DiskWriter),
}

impl Writer {
    /// Waits while too much of the body waits for the disk.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Memory(_) => Poll::Ready(()),
            Self::Disk(writer) => writer.poll_ready(cx),
        }
    }

    /// Takes some more of the body.
    pub(crate) fn push(&mut self, data: Bytes) {
        match self {
            Self::Memory(writer) => writer.push(data),
            Self::Disk(writer) => writer.push(data),
        }
    }

    /// Whether it was given up: it is too large, or the disk does not take it.
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            Self::Memory(writer) => writer.has_failed(),
            Self::Disk(writer) => writer.has_failed(),
        }
    }

    /// The body is whole: keeps the answer, and tells those who wait for it. What is to be done on disk is done in the
    /// background, and not at all where there is no runtime any more.
    pub(crate) fn finish(self, flight: Option<Flight>) {
        let land = |kept| {
            if let Some(flight) = flight {
                flight.land(if kept { Landing::Kept } else { Landing::NotKept });
            }
        };
        match self {
            Self::Memory(writer) => land(writer.finish()),
            Self::Disk(writer) => {
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(async move { land(writer.finish().await) });
                }
            }
        }
    }

    /// As [`Writer::finish`], with the body of an answer that is kept already and has been found to be good still.
    pub(crate) fn finish_with(self, stored: &Stored, flight: Option<Flight>) {
        let land = |kept| {
            if let Some(flight) = flight {
                flight.land(if kept { Landing::Kept } else { Landing::NotKept });
            }
        };
        match self {
            Self::Memory(writer) => land(writer.finish_with(&stored.content)),
            Self::Disk(mut writer) => {
                let (id, mut body) = (stored.id, stored.body(0..stored.len()));
                tokio::spawn(async move {
                    use http_body_util::BodyExt as _;
                    if writer.renew(id).await {
                        return land(true);
                    }
                    while let Some(frame) = body.frame().await {
                        let Ok(frame) = frame else { return };
                        std::future::poll_fn(|cx| writer.poll_ready(cx)).await;
                        if let Ok(data) = frame.into_data() {
                            writer.push(data);
                        }
                        if writer.has_failed() {
                            break;
                        }
                    }
                    land(writer.finish().await);
                });
            }
        }
    }
}
