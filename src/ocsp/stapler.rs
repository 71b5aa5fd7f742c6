//! [`Stapler`]: keeps the pairs of a table stapled for as long as it runs.
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::answer::{Answer, Unanswered};
use super::round::Round;
use super::status::{Board, StapleStatus};
use super::subject::Subject;
use super::{Clock, OcspFault};
use crate::fetch::{Fetch, Reach};
use crate::tls::{Certificate, Certificates};

/// Between two looks at a table that changes.
const REST: Duration = Duration::from_secs(1);

/// Gets the answers of authorities about the certificates of a table, and has handshakes show them.
///
/// A clone is the same stapler. It does nothing of itself: [`run`](Self::run) does it all, and what runs ends when that
/// future is dropped.
#[derive(Clone)]
pub struct Stapler {
    pub(super) fetch: Fetch,
    pub(super) clock: Clock,
    pub(super) staples_unsaid: bool,
    look_every: Duration,
    board: Board,
}

impl Stapler {
    /// How long a responder may take for an answer.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// Most bytes of an answer; usual ones have under two thousand.
    const MOST: usize = 64 * 1024;

    /// One by the system's clock. Asks nobody.
    ///
    /// # Errors
    /// [`OcspFault`] when TLS cannot be set up, for responders at `https` addresses.
    pub fn new() -> Result<Self, OcspFault> {
        let reach = Reach { roots: None, plain: true, patience: Self::PATIENCE, most: Self::MOST };
        let fetch = Fetch::new(reach).map_err(OcspFault)?;
        let (clock, look_every) = (Clock::system(), Duration::from_secs(60));
        Ok(Self { fetch, clock, staples_unsaid: true, look_every, board: Board::default() })
    }

    /// Sets the clock that dates are compared with. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets whether certificates are stapled that don't say it themselves
    /// ([`CertificateBuilder::stapling`](crate::tls::CertificateBuilder::stapling)). Default true.
    #[must_use]
    pub fn with_unsaid(mut self, stapled: bool) -> Self {
        self.staples_unsaid = stapled;
        self
    }

    /// Whether a certificate is stapled, if it names a responder.
    pub fn staples(&self, certificate: &Certificate) -> bool {
        certificate.stapling().map_or(self.staples_unsaid, |stapling| stapling.enabled)
    }

    /// Sets how often the table is looked at, for pairs that were installed where another table hears of it. Default a minute;
    /// all other changes are seen at once.
    #[must_use]
    pub fn with_look_every(mut self, period: Duration) -> Self {
        self.look_every = period.max(Duration::from_millis(1));
        self
    }

    /// How each pair is doing that names a responder, or that clients refuse without an answer. Empty before
    /// [`run`](Self::run).
    pub fn status(&self) -> Vec<StapleStatus> {
        self.board.read()
    }

    /// Sees to the pairs of a table, also to those that come to it later. Never ends.
    ///
    /// An answer is asked for when half of the last one's time is over, shown from the next handshake on, and kept while it
    /// holds, whatever becomes of the responder. One that is over is shown no more.
    pub async fn run(&self, certificates: Certificates) {
        let (mut changed, mut installed) = (certificates.changed(), certificates.installed());
        let mut look = tokio::time::interval(self.look_every);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round = Round::new(self.clone(), certificates, self.board.clone());
        let mut rested = Instant::now();
        loop {
            let next = round.next();
            let due = async {
                match next {
                    Some(next) => self.clock.until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = look.tick() => round.look().await,
                // The table outlives its own sender. Of changes that follow one another, many are looked at at once.
                () = async { sleep_until(rested).await; either(&mut changed, &mut installed).await } => {
                    round.look().await;
                    rested = Instant::now() + REST;
                }
                ended = round.ended() => ended.into_iter().for_each(|asked| round.take(asked)),
                () = due => {}
            }
            round.begin();
        }
    }

    /// Asks the responder of a certificate, and judges what it says.
    pub(super) async fn ask(&self, subject: &Subject) -> Result<Answer, Unanswered> {
        let question = subject.question().map_err(Unanswered::new)?;
        let request = Request::post(subject.responder.clone())
            .header(CONTENT_TYPE, "application/ocsp-request")
            .header(ACCEPT, "application/ocsp-response")
            .body(Full::new(Bytes::from(question)))
            .map_err(Unanswered::new)?;
        let answer = self.fetch.send(request).await.map_err(Unanswered::new)?;
        if answer.status() != StatusCode::OK {
            return Err(Unanswered::new(format_args!("the responder answered {}", answer.status())));
        }
        Answer::judge(answer.body(), subject, self.clock.now()).map_err(Unanswered::from)
    }
}

/// Waits until one of both changes. The table, which we have, outlives its senders.
async fn either(one: &mut watch::Receiver<u64>, other: &mut watch::Receiver<u64>) {
    tokio::select! {
        _ = one.changed() => {}
        _ = other.changed() => {}
    }
}

impl fmt::Debug for Stapler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stapler").field("clock", &self.clock).finish_non_exhaustive()
    }
}
