//! Following a source: every configuration that it brings is admitted and applied.
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;

use super::admit::admit;
use super::handle::add_new;
use super::{ApplyError, ConfigSource, Gateway, Revision, SourceError, Status};
use crate::model::Snapshot;

/// How often references to secrets are looked up again.
const REFRESH: Duration = Duration::from_secs(60);

/// What happened to a configuration, for logs.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigEvent {
    /// A configuration is in force, perhaps without some of its items: see `kept` and `left_out`.
    Applied(Arc<Status>),
    /// A configuration was refused as a whole; the one before serves on.
    Refused(ApplyError),
    /// The source could not be read; the last configuration serves on.
    SourceFailed(String),
}

impl Gateway {
    /// Applies what can be applied of a snapshot: an item with a fault keeps its predecessor, or is left out, and a
    /// left-out route answers 503 (config-sources.md §1, security.md CFG-02).
    ///
    /// # Errors
    /// When even so nothing can be applied.
    pub fn adopt(&self, candidate: Snapshot) -> Result<Revision, ApplyError> {
        let mut master = self.lock();
        let was = self.status();
        let mut error = match candidate.rejected.is_empty() {
            true => match self.apply_locked(&mut master, candidate.clone()) {
                Ok(revision) => return Ok(revision),
                Err(error) => error,
            },
            // What is known to be faulty is left out at once. Whatever else is wrong shows when the rest is applied.
            false => {
                let mut findings =
                    candidate.rejected.iter().flat_map(|item| &item.findings).cloned().collect::<Vec<_>>();
                candidate.places.locate(&mut findings);
                ApplyError::new(findings)
            }
        };
        let before = master.snapshot().clone();
        let mut findings = Vec::new();
        // A predecessor that is kept may itself not go with the new items, so more than one
        // round can be needed, at last without any predecessor.
        for round in 0..5 {
            add_new(&mut findings, error.into_findings());
            let admitted = admit(candidate.clone(), &findings, (round < 3).then_some(&before));
            match self.apply_locked(&mut master, admitted.snapshot) {
                Ok(revision) => {
                    let (kept, left_out) = (Arc::new(admitted.kept), Arc::new(admitted.left_out));
                    // Items that a store keeps giving are news once.
                    let is_news = (&kept, &left_out) != (&was.kept, &was.left_out);
                    self.update_status(|status| {
                        let mut all = findings.clone();
                        add_new(&mut all, status.findings.to_vec());
                        status.findings = Arc::new(all);
                        status.kept = Arc::clone(&kept);
                        status.left_out = Arc::clone(&left_out);
                        status.rejected_total += u64::from(is_news);
                    });
                    return Ok(revision);
                }
                Err(next) => error = next,
            }
        }
        self.update_status(|status| status.rejected_total += 1);
        Err(error)
    }

    /// Applies every configuration that a source brings, until the source ends. What cannot be applied is reported to
    /// `report` and in [`Gateway::status`]; the last good configuration serves on.
    ///
    /// Compiling runs on tokio's blocking threads. Dropping the future stops the source.
    ///
    /// # Errors
    /// None that ends it early: the last word of a source that ended with an error.
    pub async fn follow(
        &self,
        source: impl ConfigSource,
        mut report: impl FnMut(ConfigEvent) + Send,
    ) -> Result<(), SourceError> {
        // What was applied before there was a runtime has waited for one.
        self.0.upstreams.keep_up();
        let mut stream = pin!(source.watch());
        let mut last = Ok(());
        let mut refresh = tokio::time::interval(REFRESH);
        loop {
            let item = tokio::select! {
                item = poll_fn(|cx| stream.as_mut().poll_next(cx)) => item,
                _ = refresh.tick() => {
                    let gateway = self.clone();
                    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || gateway.refresh_secrets()).await {
                        report(ConfigEvent::Refused(error));
                    }
                    continue;
                }
            };
            let Some(item) = item else { break };
            match item {
                Ok(snapshot) => {
                    last = Ok(());
                    let gateway = self.clone();
                    let applied = tokio::task::spawn_blocking(move || gateway.adopt(snapshot)).await;
                    match applied {
                        Ok(Ok(_)) => report(ConfigEvent::Applied(self.status())),
                        Ok(Err(error)) => report(ConfigEvent::Refused(error)),
                        Err(panic) => report(ConfigEvent::SourceFailed(format!("compiling panicked: {panic}"))),
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    self.update_status(|status| {
                        status.source_error = Some(text.clone());
                        status.rejected_total += 1;
                    });
                    report(ConfigEvent::SourceFailed(text));
                    last = Err(error);
                }
            }
        }
        last
    }
}
