//! Which server is asked next. No network and no clock in here.
use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row, and a server is left alone for a while.
const FAILURES: u32 = 3;
/// Seconds between two rounds while no server is well; then anew.
const BACK_OFF: [u64; 6] = [1, 2, 4, 8, 16, 32];

/// What is known of the servers.
#[derive(Debug)]
pub(super) struct Endpoints {
    servers: Vec<Server>,
    /// Where the search for the next one begins.
    next: usize,
    /// How long one that failed is left alone.
    down: Duration,
    /// While none is well.
    outage: Option<Outage>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Server {
    failures: u32,
    down_until: Option<Instant>,
}

/// No server is well: all are tried in rounds, with pauses that grow.
#[derive(Clone, Copy, Debug)]
struct Outage {
    /// Place in [`BACK_OFF`] of the pause that comes next.
    step: usize,
    /// When the round begins.
    until: Instant,
    /// Attempts that are left in it.
    left: usize,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// This one.
    Server(usize),
    /// Nobody before this time.
    Nobody(Instant),
}

impl Endpoints {
    /// Of so many servers; `down` is how long one is left alone.
    pub(super) fn new(servers: usize, down: Duration) -> Self {
        Self { servers: vec![Server::default(); servers], next: 0, down, outage: None }
    }

    /// Whom to ask now: the one that answered or was asked last, unless it failed since; none of those that are being
    /// asked.
    pub(super) fn pick(&mut self, now: Instant, is_busy: impl Fn(usize) -> bool) -> Pick {
        let (count, next) = (self.servers.len(), self.next);
        let mut places = (0..count).map(|step| (next + step) % count).filter(|place| !is_busy(*place));
        if self.outage.is_none() {
            let well = |place: &usize| {
                let server = self.servers.get(*place);
                server.is_some_and(|server| server.down_until.is_none_or(|until| until <= now))
            };
            let well = places.find(well);
            if let Some(place) = well {
                self.next = place;
                return Pick::Server(place);
            }
            // A server that was taken out before the others went may be back before the round begins.
            return Pick::Nobody(self.servers.iter().filter_map(|server| server.down_until).min().unwrap_or(now));
        }
        match (&self.outage, places.next()) {
            (Some(outage), _) if outage.until > now => Pick::Nobody(outage.until),
            (_, Some(place)) => {
                self.next = place;
                Pick::Server(place)
            }
            (_, None) => Pick::Nobody(now),
        }
    }

    /// It answered.
    pub(super) fn answered(&mut self, place: usize) {
        if let Some(server) = self.servers.get_mut(place) {
            *server = Server::default();
            self.outage = None;
            self.next = place;
        }
    }

    /// It could not be reached, or did not answer. `jitter` from 0 to 1 makes the pause up to half as long again.
    pub(super) fn failed(&mut self, place: usize, now: Instant, jitter: f64) {
        let count = self.servers.len();
        self.next = (place + 1) % count;
        if let Some(server) = self.servers.get_mut(place) {
            server.failures += 1;
            if server.failures >= FAILURES {
                server.down_until = Some(now + self.down);
            }
        }
        match &mut self.outage {
            Some(outage) if outage.left > 1 => outage.left -= 1,
            Some(outage) => {
                outage.until = now + pause(outage.step, jitter);
                outage.step += 1;
                outage.left = count;
            }
            None => {
                let down = |server: &Server| server.down_until.is_some_and(|until| until > now);
                if self.servers.iter().all(down) {
                    self.outage = Some(Outage { step: 1, until: now + pause(0, jitter), left: count });
                }
            }
        }
    }
}

fn pause(step: usize, jitter: f64) -> Duration {
    let seconds = BACK_OFF.get(step % BACK_OFF.len()).copied().unwrap_or(1);
    Duration::from_secs(seconds).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: Duration = Duration::from_secs(10);
    const NOT_BUSY: fn(usize) -> bool = |_| false;

    fn seconds(from: Instant, until: Instant) -> u64 {
        (until - from).as_secs()
    }

    #[test]
    fn the_same_server_is_asked_until_it_fails_and_then_the_next() {
        let now = Instant::now();
        let mut endpoints = Endpoints::new(3, DOWN);
        assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(0));
        assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(0));
        endpoints.failed(0, now, 0.0);
        assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(1));
        endpoints.answered(1);
        assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(1));
    }

    #[test]
    fn beside_those_that_are_being_asked_the_next_one_is_and_who_answers_is_kept() {
        let now = Instant::now();
        let mut endpoints = Endpoints::new(3, DOWN);
        assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(0));
        assert_eq!(endpoints.pick(now, |place| place == 0), Pick::Server(1));
        endpoints.failed(0, now, 0.0);
        assert_eq!(endpoints.pick(now, |place| place == 1), Pick::Server(2));
        assert!(matches!(endpoints.pick(now, |_| true), Pick::Nobody(_)));
        endpoints.answered(1);
        assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(1));
    }

    #[test]
    fn three_failures_in_a_row_take_a_server_out_for_a_while() {
        let now = Instant::now();
        let mut endpoints = Endpoints::new(2, DOWN);
        for _ in 0..2 {
            endpoints.failed(0, now, 0.0);
        }
        endpoints.answered(0);
        for _ in 0..3 {
            endpoints.failed(0, now, 0.0);
        }
        for _ in 0..2 {
            endpoints.failed(1, now, 0.0);
        }
        assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(1), "the first is out, the second failed twice only");
        assert_eq!(endpoints.pick(now + DOWN, NOT_BUSY), Pick::Server(1));
        endpoints.failed(1, now + DOWN, 0.0);
        assert_eq!(endpoints.pick(now + DOWN, NOT_BUSY), Pick::Server(0), "the first is back");
    }

    #[test]
    fn while_none_is_well_rounds_over_all_come_after_growing_pauses() {
        let mut now = Instant::now();
        let mut endpoints = Endpoints::new(2, DOWN);
        for _ in 0..3 {
            endpoints.failed(0, now, 0.0);
            endpoints.failed(1, now, 0.0);
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let Pick::Nobody(until) = endpoints.pick(now, NOT_BUSY) else { panic!("nobody is well") };
            pauses.push(seconds(now, until));
            now = until;
            for server in [0, 1] {
                assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(server));
                endpoints.failed(server, now, 0.0);
            }
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 1, 2]);
        let Pick::Nobody(until) = endpoints.pick(now, NOT_BUSY) else { panic!("nobody is well") };
        assert_eq!(endpoints.pick(until, NOT_BUSY), Pick::Server(0));
        endpoints.answered(0);
        assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Server(0), "the outage is over");
    }

    #[test]
    fn pauses_are_at_most_half_as_long_again() {
        let now = Instant::now();
        for (jitter, expected) in [(0.0, 1000), (1.0, 1500), (7.0, 1500)] {
            let mut endpoints = Endpoints::new(1, DOWN);
            for _ in 0..3 {
                endpoints.failed(0, now, jitter);
            }
            assert_eq!(endpoints.pick(now, NOT_BUSY), Pick::Nobody(now + Duration::from_millis(expected)));
        }
    }
}
