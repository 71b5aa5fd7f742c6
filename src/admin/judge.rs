//! Candidates are judged as loads are: plugins, patterns, conditions, credentials.
use std::collections::HashSet;
use std::sync::Arc;

use super::answer::Answer;
use super::api::Shared;
use super::plan::{Plan, faulty};
use crate::model::{Finding, Id, Kind, Snapshot};

impl Shared {
    /// Judges a plan off the runtime's threads, and adds the doubts to it.
    ///
    /// # Errors
    /// 400 for every fault that the change brings.
    pub(super) async fn judge(self: &Arc<Self>, mut plan: Plan) -> Result<Plan, Answer> {
        let shared = Arc::clone(self);
        let judged = tokio::task::spawn_blocking(move || {
            let findings = shared.findings(&plan);
            (plan, findings)
        });
        let findings;
        (plan, findings) = judged.await.map_err(|_| Answer::internal())?;
        let faults: Vec<_> = findings.iter().filter(|finding| finding.is_error()).collect();
        if !faults.is_empty() {
            return Err(faulty(&faults));
        }
        for finding in findings {
            if !plan.findings.contains(&finding) {
                plan.findings.push(finding);
            }
        }
        Ok(plan)
    }

    /// What is to say about what a plan changes. What was wrong before and still is, is no fault of the plan.
    fn findings(&self, plan: &Plan) -> Vec<Finding> {
        let changed: HashSet<(Kind, Id)> = plan.changed().into_iter().collect();
        let own =
            |finding: &Finding| finding.id.as_ref().is_some_and(|id| changed.contains(&(finding.kind, id.clone())));
        if !self.serves {
            return self.judge.judge(&alone(plan)).into_iter().filter(own).collect();
        }
        let status = self.judge.status();
        // What cannot be read of other items is known to the mirror before the gateway has heard of it.
        let unread = plan.candidate.rejected.iter().flat_map(|item| &item.findings).filter(|finding| !own(finding));
        let known: HashSet<_> = status.findings.iter().chain(unread).map(Finding::key).collect();
        let mut findings = self.judge.judge(&plan.candidate);
        findings.retain(|finding| own(finding) || (finding.is_error() && !known.contains(&finding.key())));
        if findings.iter().any(|finding| !own(finding)) {
            // The look may be newer than what the gateway has in force: what it finds in it without the change counts as known.
            let before = self.judge.judge(plan.view.snapshot());
            let before: HashSet<_> = before.iter().map(Finding::key).collect();
            findings.retain(|finding| own(finding) || !before.contains(&finding.key()));
        }
        findings
    }
}

/// The changed items by themselves, for a gateway that has no configuration.
fn alone(plan: &Plan) -> Snapshot {
    let mut alone = Snapshot {
        settings: Arc::clone(&plan.candidate.settings),
        plugins: plan.candidate.plugins.clone(),
        secrets: plan.candidate.secrets.clone(),
        ..Snapshot::default()
    };
    for item in plan.changes.iter().filter_map(|change| change.item.as_ref()) {
        Arc::clone(item).put(&mut alone);
    }
    alone
}
