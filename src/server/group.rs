//! The connections of one listener: how many, and how they are told to end.
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

use tokio::sync::watch;

use super::registry::Registry;
use super::seat::{Seat, Seats};

/// What all connections of a listener share.
pub(super) struct Group {
    registry: Arc<Registry>,
    draining: AtomicBool,
    /// Tells tunnels and HTTP/2 connections of a drain; the others look at `draining` when they answer.
    drain: watch::Sender<bool>,
    seats: Seats,
    accepted: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Group {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        Self {
            registry: Arc::clone(registry),
            draining: AtomicBool::new(false),
            drain: watch::Sender::new(false),
            seats: Seats::default(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// A seat for one more connection (LIM-11), of the listener (`most`), the server, and the client, where its address is
    /// known by now: it came in by a Unix socket, or a PROXY header is to come.
    pub(super) fn admit(self: &Arc<Self>, most: Option<usize>, client: Option<IpAddr>) -> Option<Seat> {
        self.accepted.fetch_add(1, Relaxed);
        self.registry.make_room();
        let seat = Seat::take(self, most, client);
        if seat.is_none() {
            self.refuse();
        }
        seat
    }

    /// Counts a connection that was accepted and is closed over a limit after all.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a connection that broke off, or was closed, before anything was spoken: its PROXY header or its TLS failed.
    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Connections at the moment, tunnels and those that still arrive included.
    pub(super) fn open(&self) -> usize {
        self.seats.count()
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// From now on answers close their connection; tunnels and HTTP/2 connections are told.
    pub(super) fn begin_drain(&self) {
        // With `set_idle`: of a connection that becomes idle now, one of the two sees the other.
        self.draining.store(true, SeqCst);
        self.drain.send_replace(true);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// Waits for a drain to begin.
    pub(super) fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut drain = self.drain.subscribe();
        async move {
            // An error means that the listener and all its connections are gone.
            let _ = drain.wait_for(|draining| *draining).await;
        }
    }
}
