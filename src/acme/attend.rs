//! One order, from the claim to the file.
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::authority::{Authority, Delivery, Opinion, blocking};
use super::claim::{Claimed, Claims, Failures};
use super::fault::Refusal;
use super::folder::{Folder, Shelf, Stamp};
use super::options::Options;
use super::schedule::{lot, pause};
use super::work;
use crate::tls::Pair;

/// How long one order may take altogether.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// What tasks work with.
pub(super) struct Watcher {
    pub(super) options: Arc<Options>,
    pub(super) folder: Arc<Folder>,
    pub(super) claims: Arc<Claims>,
    pub(super) authority: Authority,
}

/// What a task brought.
pub(super) struct Attended {
    pub(super) id: Arc<str>,
    /// The names that were ordered.
    pub(super) names: Option<Arc<[String]>>,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    /// A certificate, of our own order or of another's.
    Delivered {
        pair: Pair,
        stamp: Option<Stamp>,
    },
    /// Others order, or wait after a failure.
    Others {
        until: SystemTime,
        failures: Failures,
    },
    Failed {
        until: SystemTime,
        failures: Failures,
    },
    /// When the authority would have it renewed.
    Window(Result<Opinion, Refusal>),
}

impl Watcher {
    /// Asks when to renew.
    pub(super) async fn ask(&self, id: Arc<str>, held: Pair) -> Attended {
        let asked = tokio::time::timeout(PATIENCE, self.authority.window(&held)).await;
        let window = asked.unwrap_or_else(|_| Err(Refusal::new("no answer")));
        Attended { id, names: None, outcome: Outcome::Window(window) }
    }

    /// Orders, unless others do.
    pub(super) async fn order(&self, id: Arc<str>, names: Arc<[String]>, held: Option<Pair>) -> Attended {
        let outcome = self.attend(&id, &names, held.as_ref()).await;
        Attended { id, names: Some(names), outcome }
    }

    async fn attend(&self, id: &str, names: &[String], held: Option<&Pair>) -> Outcome {
        let now = self.options.clock.now();
        let claimed = {
            let (claims, id, names) = (Arc::clone(&self.claims), id.to_owned(), names.to_vec());
            blocking(&self.folder, move |_| claims.take(&id, &names, now)).await
        };
        let failures = match claimed {
            Ok(Claimed::Ours(failures)) => failures,
            Ok(Claimed::Until(until, failures)) => {
                // Whoever orders is done sooner than its claim ends.
                let until = if failures.count > 0 { until } else { until.min(now + Duration::from_secs(5)) };
                return Outcome::Others { until, failures };
            }
            // Nothing is ordered that could not be kept.
            Err(refusal) => return self.failed(id, names, Failures::default(), refusal).await,
        };
        if let Some((pair, stamp)) = self.newer(id, names, held).await {
            self.claims.release(id);
            return Outcome::Delivered { pair, stamp: Some(stamp) };
        }
        match self.ordered(id, names, &failures, held).await {
            Ok(Delivery { text, pair }) => {
                let under = id.to_owned();
                let put = move |folder: &Folder| {
                    folder.put(Shelf::Certificates, &under, &text)?;
                    Ok(folder.stamp(Shelf::Certificates, &under))
                };
                // If it cannot be kept after all it is used nevertheless, and the next start orders again.
                let stamp = blocking(&self.folder, put).await.unwrap_or_default();
                self.claims.release(id);
                Outcome::Delivered { pair, stamp }
            }
            Err(refusal) => self.failed(id, names, failures, refusal).await,
        }
    }

    /// What others ordered since we looked.
    async fn newer(&self, id: &str, names: &[String], held: Option<&Pair>) -> Option<(Pair, Stamp)> {
        let (under, names) = (id.to_owned(), names.to_vec());
        let found = blocking(&self.folder, move |folder| Ok(work::read(folder, &under, &names))).await;
        let (pair, stamp) = found.ok()?.ok()?;
        let newer = held.is_none_or(|held| held.not_after() < pair.not_after());
        newer.then_some((pair, stamp))
    }

    async fn ordered(
        &self,
        id: &str,
        names: &[String],
        failures: &Failures,
        held: Option<&Pair>,
    ) -> Result<Delivery, Refusal> {
        let order = tokio::time::timeout(PATIENCE, self.authority.order(names, failures.count, held));
        tokio::pin!(order);
        loop {
            let renewal = tokio::time::sleep(Claims::HOLD / 3);
            tokio::select! {
                ended = &mut order => {
                    return ended.unwrap_or_else(|_| Err(Refusal::new("the authority did not come to an end")));
                }
                () = renewal => {
                    let (claims, id, names, failures) =
                        (Arc::clone(&self.claims), id.to_owned(), names.to_vec(), failures.clone());
                    let now = self.options.clock.now();
                    // A claim that is lost costs an order at worst.
                    _ = blocking(&self.folder, move |_| claims.renew(&id, &names, &failures, now)).await;
                }
            }
        }
    }

    /// Says to all that it failed, and when the next try is due.
    async fn failed(&self, id: &str, names: &[String], before: Failures, refusal: Refusal) -> Outcome {
        let failures = Failures { count: before.count.saturating_add(1), last: Some(refusal.text) };
        let until = self.options.clock.now() + pause(failures.count, refusal.asked, lot());
        let (claims, id, names, said) = (Arc::clone(&self.claims), id.to_owned(), names.to_vec(), failures.clone());
        _ = blocking(&self.folder, move |_| claims.postpone(&id, &names, &said, until)).await;
        Outcome::Failed { until, failures }
    }
}
