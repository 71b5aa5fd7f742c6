//! The wait for room in a stream's window, and what it says of the client (H2-11, LIM-08).
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::super::pace::Pace;
use super::alarm::{Alarm, due};
use super::stream::Streams;
use crate::net::TICK;
use crate::server::Limits;

/// Bytes of one stream's window, and of what is buffered for it (H2-08, H2-11).
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes that a client has to take within a write time-out to be no slow one (H2-11).
const PROGRESS: usize = 1024;
/// How many write time-outs a wait is excused for at the most: whoever reads one stream slowly holds the others no longer.
const EXCUSED: u32 = 3;
/// Ticks of a second.
const TICKS: u64 = 1000 / TICK.as_millis() as u64;

/// Why a stream has no room any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// The client reset it, or the connection ended.
    Gone,
    /// The client does not take what it asked for; the stream is reset.
    Stalled,
}

/// Takes room in the window of one stream, and judges the client by how it comes.
#[derive(Debug, Default)]
pub(super) struct Window {
    wait: Option<Wait>,
    pace: Pace,
    stall: Stall,
}

impl Window {
    /// Room for so many bytes or fewer, which are sent then.
    pub(super) fn poll_room(
        &mut self,
        wanted: usize,
        stream: &mut SendStream<Bytes>,
        alarm: &Alarm,
        streams: &Streams,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Shut>> {
        // Not more than is buffered, so that all streams have their turn at the connection's window.
        stream.reserve_capacity(wanted.min(STREAM_WINDOW as usize));
        let (limits, mut room) = (streams.client.limits(), stream.capacity());
        if room == 0 {
            match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(more))) => room = more,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Shut::Gone)),
                Poll::Pending => {
                    let (now, written) = streams.progress();
                    let wait = self.wait.get_or_insert(Wait { since: now, written });
                    let left = self.stall.left(wait.blamed(now, written, limits), limits);
                    if left > 0 {
                        // What is excused now may not be so then.
                        alarm.set(now.saturating_add(left), cx);
                        return Poll::Pending;
                    }
                    stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(Shut::Stalled));
                }
            }
        }
        let count = room.min(wanted);
        let waited = self.wait.take().map_or(0, |wait| {
            alarm.clear();
            let (now, written) = streams.progress();
            wait.blamed(now, written, limits)
        });
        if self.stall.progress(waited, count, limits) && self.pace.progress_after(waited, count, limits.write_rate) {
            return Poll::Ready(Ok(count));
        }
        stream.send_reset(Reason::CANCEL);
        Poll::Ready(Err(Shut::Stalled))
    }
}

/// A wait that began at that tick, when the connection had written so many bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) since: u32,
    pub(super) written: u64,
}

impl Wait {
    /// The ticks of it for which the client's window is to blame. All streams share the socket and the connection's window:
    /// the time in which those are fast enough for what went to others is excused, until all others had their turn or could have
    /// had it.
    pub(super) fn blamed(self, now: u32, written: u64, limits: &Limits) -> u32 {
        let waited = now.saturating_sub(self.since);
        let moved = written.saturating_sub(self.written);
        // Each stream has up to its buffer in the queue for the connection's window, and in that for the socket.
        let turns = 2 * u64::from(STREAM_WINDOW) * u64::from(limits.max_concurrent_streams);
        if moved >= turns {
            return waited;
        }
        let excused = moved.saturating_mul(TICKS).checked_div(limits.write_rate.bytes_per_second).unwrap_or(u64::MAX);
        let excused = u32::try_from(excused).unwrap_or(u32::MAX);
        waited.saturating_sub(excused.min(EXCUSED.saturating_mul(due(0, limits.write_timeout))))
    }
}

/// A clock for clients that take a few bytes now and then: only so many wind it up again.
#[derive(Debug, Default)]
struct Stall {
    /// Ticks spent waiting since it was wound up.
    waited: u32,
    /// Bytes taken since then.
    bytes: usize,
}

impl Stall {
    /// The ticks that are left to a client which was waited for so many more.
    fn left(&self, waited: u32, limits: &Limits) -> u32 {
        due(0, limits.write_timeout).saturating_sub(self.waited.saturating_add(waited))
    }

    /// The client took so many bytes after a wait; tells whether it still does so in time.
    fn progress(&mut self, waited: u32, bytes: usize, limits: &Limits) -> bool {
        self.waited = self.waited.saturating_add(waited);
        let on_time = self.left(0, limits) > 0;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= PROGRESS {
            (self.bytes, self.waited) = (0, 0);
        }
        on_time
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sec_h2_11_only_so_many_bytes_wind_the_clock_up() {
        let (mut stall, limits) = (Stall::default(), Limits::default());
        let all = due(0, limits.write_timeout);
        assert!(stall.progress(100, PROGRESS - 1, &limits));
        assert_eq!(stall.left(0, &limits), all - 100);
        assert!(stall.progress(0, 1, &limits));
        assert_eq!(stall.left(0, &limits), all);
        assert!(!stall.progress(all, 1, &limits));
    }

    #[test]
    fn sec_h2_11_a_closed_window_is_blamed_behind_a_busy_connection() {
        let limits = Limits::default();
        let wait = Wait { since: 0, written: 7 };
        assert_eq!(wait.blamed(120, 7, &limits), 120, "nothing moved");
        assert_eq!(wait.blamed(120, 7 + 1024, &limits), 116, "one second's worth did");
        assert_eq!(wait.blamed(120, 7 + 2 * 65_536 * 100 - 1, &limits), 0);
        assert_eq!(wait.blamed(120, 7 + 2 * 65_536 * 100, &limits), 120, "all others had their turn");
    }

    proptest! {
        #[test]
        fn who_waits_for_its_turn_at_a_fast_enough_connection_is_not_blamed(
            since in 0_u32..1000, waited in 0_u32..20_000, faster in 0_u64..100,
        ) {
            let limits = Limits::default();
            let moved = u64::from(waited) * (1024 + faster) / TICKS + 256;
            let blamed = Wait { since, written: 5 }.blamed(since + waited, 5 + moved, &limits);
            let most = EXCUSED * due(0, limits.write_timeout);
            prop_assert_eq!(blamed, if moved >= 2 * 65_536 * 100 { waited } else { waited.saturating_sub(most) });
        }
    }
}
