//! What a service manager and a log rotation say.
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that are listened for.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on none of them ends the process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT, and tells which; calls `hangup` at each SIGHUP. A second call waits for the next.
    pub(crate) async fn end(&mut self, hangup: impl Fn()) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => hangup(),
            }
        }
    }
}
