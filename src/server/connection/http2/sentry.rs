//! Counts what a client makes us do for nothing (security.md H2-08 to H2-10).
//!
//! `h2` keeps the state of the protocol and bounds its own memory; it has no opinion on how often somebody pings. The
//! sentry sees the heads of all frames on their way between the socket and `h2`, and once a client is over a budget it
//! stays so: nothing that it sends reaches `h2` any more.
use super::frames::{Frames, Head};
use crate::net::TICK;

/// Frames that move nothing, in ten seconds (H2-10).
const CONTROL: u32 = 1000;
/// Stream errors, and streams that the client reset before their answer was out, in ten seconds (H2-09).
const FAULTS: u32 = 100;
/// `CONTINUATION` frames of one block of fields (H2-08).
const CONTINUATIONS: u32 = 8;
/// What a client can save up of frames that are free.
const MOST_CREDIT: u32 = 10_000;
/// Bytes of what an HTTP/2 client sends before its first frame (RFC 9113 §3.4).
const PREFACE: usize = 24;
/// The seconds that a budget is for.
const SPAN: usize = 10;

/// Watches one connection.
#[derive(Debug)]
pub(super) struct Sentry {
    incoming: Frames,
    outgoing: Frames,
    control: Window,
    faults: Window,
    /// Frames that the client may send because something happened: two for each of its streams, such as a reset and a
    /// window update; three for each `DATA` of ours: two window updates, and a ping that measures the way.
    credit: u32,
    continuations: u32,
    /// Tick at which the block of fields began that is under way.
    block_since: Option<u32>,
    /// The block ends with the frame that is under way.
    block_ends: bool,
    over: bool,
}

impl Default for Sentry {
    fn default() -> Self {
        Self {
            incoming: Frames::behind(PREFACE),
            outgoing: Frames::default(),
            control: Window::default(),
            faults: Window::default(),
            credit: 0,
            continuations: 0,
            block_since: None,
            block_ends: false,
            over: false,
        }
    }
}

impl Sentry {
    /// These came in at this tick. False: the client is over a budget, and they are not to be looked at.
    pub(super) fn received(&mut self, bytes: &[u8], now: u32) -> bool {
        let mut frames = std::mem::take(&mut self.incoming);
        frames.scan(bytes, |head| self.judge(&head, now));
        if self.block_ends && frames.is_between() {
            self.block_since = None;
        }
        self.incoming = frames;
        !self.over
    }

    fn judge(&mut self, head: &Head, now: u32) {
        if head.kind == Head::CONTINUATION {
            self.continuations += 1;
            self.block_ends = head.ends_headers();
            self.over |= self.continuations > CONTINUATIONS;
            return;
        }
        if self.block_ends {
            self.block_since = None;
        }
        match head.kind {
            Head::HEADERS => {
                self.continuations = 0;
                self.block_since = Some(now);
                self.block_ends = head.ends_headers();
                self.grant(2);
            }
            Head::DATA if !head.is_empty() || head.flags & Head::FIRST_FLAG != 0 => {}
            Head::RST_STREAM | Head::WINDOW_UPDATE | Head::PING if self.credit > 0 => self.credit -= 1,
            _ => self.over |= self.control.add(now, 1) > CONTROL,
        }
    }

    /// These were queued for the client at this tick.
    pub(super) fn sent(&mut self, bytes: &[u8], now: u32) {
        let mut frames = std::mem::take(&mut self.outgoing);
        frames.scan(bytes, |head| match head.kind {
            Head::DATA => self.grant(3),
            Head::RST_STREAM if is_clients_fault(head.code) => self.fault(now, 1),
            _ => {}
        });
        self.outgoing = frames;
    }

    /// So many streams went wrong by the client's doing.
    pub(super) fn fault(&mut self, now: u32, count: u32) {
        self.over |= self.faults.add(now, count) > FAULTS;
    }

    /// Whether the client is over a budget.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The tick at which a block of fields began that is still incomplete.
    pub(super) fn block_since(&self) -> Option<u32> {
        self.block_since
    }

    fn grant(&mut self, count: u32) {
        self.credit = (self.credit + count).min(MOST_CREDIT);
    }
}

/// Whether we reset a stream because of what the client did (RFC 9113 §7): `PROTOCOL_ERROR`, `FLOW_CONTROL_ERROR`,
/// `STREAM_CLOSED`, `FRAME_SIZE_ERROR`, `REFUSED_STREAM`, `COMPRESSION_ERROR`, `ENHANCE_YOUR_CALM`.
fn is_clients_fault(code: u32) -> bool {
    matches!(code, 1 | 3 | 5 | 6 | 7 | 9 | 11)
}

/// Counts what happened in the last ten seconds.
#[derive(Debug, Default)]
struct Window {
    seconds: [u32; SPAN],
    /// The second that is counted now.
    now: usize,
    sum: u32,
}

impl Window {
    /// Adds to the count; tells how many it is now.
    fn add(&mut self, tick: u32, count: u32) -> u32 {
        let second = (tick / (1000 / TICK.as_millis() as u32)) as usize;
        if second >= self.now + SPAN {
            (self.seconds, self.sum) = ([0; SPAN], 0);
        } else {
            for passed in self.now + 1..=second {
                let old = self.seconds.get_mut(passed % SPAN).map(std::mem::take);
                self.sum -= old.unwrap_or_default();
            }
        }
        self.now = self.now.max(second);
        if let Some(slot) = self.seconds.get_mut(self.now % SPAN) {
            *slot = slot.saturating_add(count);
            self.sum = self.sum.saturating_add(count);
        }
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1];
        bytes.extend(payload);
        bytes
    }

    fn begun() -> Sentry {
        let mut sentry = Sentry::default();
        assert!(sentry.received(&[0; PREFACE], 0));
        sentry
    }

    proptest! {
        #[test]
        fn a_window_counts_the_last_ten_seconds(events in proptest::collection::vec((0_u32..30, 0_u32..4), 1..200)) {
            let (mut window, mut tick, mut all) = (Window::default(), 0, Vec::new());
            for (passed, count) in events {
                tick += passed;
                all.push((tick / 4, count));
                let wanted: u32 = all.iter().filter(|(at, _)| at + 10 > tick / 4).map(|(_, count)| count).sum();
                prop_assert_eq!(window.add(tick, count), wanted);
            }
        }
    }

    #[test]
    fn sec_h2_10_frames_that_move_nothing() {
        for (kind, payload) in [(Head::PING, vec![0; 8]), (4, vec![]), (2, vec![0; 5]), (0, vec![]), (77, vec![1])] {
            let mut sentry = begun();
            let bytes = frame(kind, 0, &payload);
            for at in 0..CONTROL {
                // Spread over nine seconds.
                assert!(sentry.received(&bytes, at / 28), "{kind} {at}");
            }
            assert!(!sentry.received(&bytes, 36), "{kind}");
            assert!(!sentry.received(&[], 1000), "it stays so");
        }
        let mut slow = begun();
        let ping = frame(Head::PING, 0, &[0; 8]);
        assert!((0..10_000).all(|at| slow.received(&ping, at / 20)), "800 in ten seconds");
    }

    #[test]
    fn window_updates_and_pings_for_what_was_sent_are_free() {
        let (update, data) = (frame(Head::WINDOW_UPDATE, 0, &[0, 0, 0, 1]), frame(Head::DATA, 0, b"x"));
        let ping = frame(Head::PING, 0, &[0; 8]);
        let mut sentry = begun();
        for _ in 0..CONTROL * 4 {
            sentry.sent(&data, 0);
            assert!(sentry.received(&update, 0) && sentry.received(&ping, 0) && sentry.received(&update, 0));
        }
        assert!((0..CONTROL).all(|_| sentry.received(&update, 0)));
        assert!(!sentry.received(&update, 0));
    }

    #[test]
    fn sec_h2_08_eight_continuations_a_block() {
        let mut sentry = begun();
        let part = frame(Head::CONTINUATION, 0, b"x");
        for block in 0..2 {
            assert!(sentry.received(&frame(Head::HEADERS, 0, b"x"), 5));
            assert!((0..CONTINUATIONS - 1).all(|_| sentry.received(&part, 6)), "{block}");
            assert_eq!(sentry.block_since(), Some(5));
            assert!(sentry.received(&frame(Head::CONTINUATION, 4, b"x"), 6));
            assert_eq!(sentry.block_since(), None);
        }
        sentry.received(&frame(Head::HEADERS, 0, b"x"), 7);
        assert!((0..CONTINUATIONS).all(|_| sentry.received(&part, 7)));
        assert!(!sentry.received(&part, 7));
    }

    #[test]
    fn a_block_is_under_way_until_its_last_byte() {
        let mut sentry = begun();
        let bytes = frame(Head::HEADERS, 4, b"xy");
        assert!(sentry.received(&bytes[..10], 3));
        assert_eq!(sentry.block_since(), Some(3));
        assert!(sentry.received(&bytes[10..], 9));
        assert_eq!(sentry.block_since(), None);
    }

    #[test]
    fn sec_h2_09_resets_for_the_clients_faults_are_counted() {
        let mut sentry = begun();
        let reset = |code| frame(Head::RST_STREAM, 0, &[0, 0, 0, code]);
        for _ in 0..FAULTS {
            sentry.sent(&reset(1), 0);
            sentry.sent(&reset(8), 0);
        }
        assert!(!sentry.is_over());
        sentry.sent(&reset(7), 39);
        assert!(sentry.is_over());
    }
}
