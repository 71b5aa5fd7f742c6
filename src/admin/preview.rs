//! Dry runs: what a write would do.
use std::collections::HashSet;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::api::Shared;
use super::difference::operations;
use super::plan::{Change, Plan};
use super::read::ROOT;
use crate::model::{AdminRole, Kind, Snapshot};
use crate::store::Key;

impl Shared {
    /// What a plan would do: the items before and after with the operations between them (RFC 6902), doubts, and routes that
    /// could never win because of it. `status` is what the write itself would be answered.
    /// It is told off the runtime's threads, as it may be of a whole configuration.
    pub(super) async fn preview(self: &Arc<Self>, plan: Plan, status: StatusCode) -> Result<Answer, Answer> {
        let shared = Arc::clone(self);
        let told = tokio::task::spawn_blocking(move || shared.previewed(&plan, status));
        told.await.map_err(|_| Answer::internal())
    }

    fn previewed(&self, plan: &Plan, status: StatusCode) -> Answer {
        let changes: Vec<_> = plan.changes.iter().map(|change| self.told(change)).collect();
        Answer::ok(json!({
            "dry_run": true,
            "status": status.as_u16(),
            "changes": changes,
            "findings": plan.findings,
            "shadowed": self.shadowed(plan.view.snapshot(), plan),
        }))
        .with_revision(plan.view.revision())
    }

    fn told(&self, change: &Change) -> Value {
        self.difference(&change.key, change.before.clone(), change.after.clone(), AdminRole::Admin)
    }

    /// What became of an item, as a role sees it.
    pub(super) fn difference(
        &self,
        key: &Key,
        mut before: Option<Value>,
        mut after: Option<Value>,
        role: AdminRole,
    ) -> Value {
        let kind = match (&before, &after) {
            (None, _) => "created",
            (_, None) => "removed",
            _ => "changed",
        };
        // Told before secrets are hidden, so that a secret that changes is a change.
        let same = before == after;
        for value in before.iter_mut().chain(after.iter_mut()) {
            self.hide(role, key, value);
        }
        let patch = match (&before, &after) {
            (Some(before), Some(after)) => operations(before, after),
            _ => Vec::new(),
        };
        json!({
            "key": format!("{ROOT}{key}"),
            "change": if same { "none" } else { kind },
            "before": before,
            "after": after,
            "patch": patch,
        })
    }

    /// What only the candidate has of routes that can never win.
    fn shadowed(&self, now: &Snapshot, plan: &Plan) -> Value {
        let touches = |change: &Change| matches!(change.key.kind(), Kind::Route | Kind::Service);
        if !plan.changes.iter().any(touches) {
            return json!([]);
        }
        let known: HashSet<_> = self.judge.lint_of(now).iter().map(ToString::to_string).collect();
        let fresh = self.judge.lint_of(&plan.candidate).into_iter().filter(|lint| !known.contains(&lint.to_string()));
        let told = |lint: crate::router::Lint| json!({ "id": lint.id, "pattern": lint.pattern, "host": lint.host, "message": lint.to_string() });
        fresh.map(told).collect()
    }
}
