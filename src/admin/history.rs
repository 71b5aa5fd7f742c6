//! What was: listed, compared, restored.
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::api::{Call, Note, Shared};
use super::plan::Plan;
use super::read::{ROOT, parsed};
use crate::model::AdminRole;
use crate::store::{Change, Edited, Entry, Guard, StoreError};

/// Changes that one has at once unless told otherwise.
const LIMIT: u64 = 100;
const MOST: u64 = 1000;

impl Shared {
    /// The last changes, the newest first: `limit` of them (1–1000, else 100), `before` a revision.
    pub(super) fn history(&self, call: &Call) -> Result<Answer, Answer> {
        let limit = call.query.number("limit")?.unwrap_or(LIMIT).clamp(1, MOST);
        let before = call.query.number("before")?;
        let changes = self.mirror.history().list(usize::try_from(limit).unwrap_or(usize::MAX), before);
        let list: Vec<_> = changes.iter().map(|change| summary(change)).collect();
        Ok(Answer::ok(json!({ "total": list.len(), "list": list })).with_revision(self.mirror.view().revision()))
    }

    /// One change, with what stood there before and after.
    pub(super) fn history_at(&self, call: &Call) -> Result<Answer, Answer> {
        let revision = revision(call.segment(0))?;
        let changes = self.mirror.history().change(revision);
        let change = changes.ok_or_else(|| unknown(revision))?;
        let mut body = summary(&change);
        if let Some(body) = body.as_object_mut() {
            body.insert("changes".to_owned(), self.told_edits(&change.edits, call.caller.role));
        }
        Ok(Answer::ok(body))
    }

    /// What differs between two revisions.
    pub(super) fn history_diff(&self, call: &Call) -> Result<Answer, Answer> {
        let (from, to) = (revision(call.segment(0))?, revision(call.segment(1))?);
        let edits = self.mirror.history().diff(from, to).ok_or_else(|| unknown(from.min(to)))?;
        Ok(Answer::ok(json!({ "from": from, "to": to, "changes": self.told_edits(&edits, call.caller.role) })))
    }

    /// Makes the configuration what it was at a revision, in one transaction that is judged like any other.
    pub(super) async fn restore(self: &Arc<Self>, call: Call, note: &mut Note) -> Result<Answer, Answer> {
        call.unconditional()?;
        let revision = revision(call.segment(0))?;
        let then = self.mirror.history().state_at(revision).ok_or_else(|| unknown(revision))?;
        let view = self.mirror.view();
        let mut plan = Plan::new(Arc::clone(&view));
        let mut references = Vec::new();
        for (key, _) in view.range("").filter(|(key, _)| then.get(key.as_str()).is_none()) {
            plan.remove(key);
        }
        for (key, entry) in then.iter() {
            if view.get(key.as_str()).is_some_and(|now| now.value == entry.value) {
                continue;
            }
            references.push((key.clone(), plan.put(key, &parsed(entry), None)?));
        }
        // Nobody may have changed what the difference was made from.
        plan.guards.push(Guard::Unchanged { prefix: String::new(), since: view.revision() });
        for key in plan.changes.iter().map(|change| change.key.clone()).collect::<Vec<_>>() {
            plan.guard_item(&key);
        }
        for (key, references) in &references {
            plan.judge_references(key, references)?;
        }
        let plan = self.judge(plan).await?;
        plan.note(self, note);
        if call.query.is_true("dry_run") {
            return Ok(self.preview(&plan, StatusCode::OK));
        }
        let changes: Vec<_> = plan.changes.iter().map(|change| format!("{ROOT}{}", change.key)).collect();
        if changes.is_empty() {
            return Ok(Answer::ok(json!({ "restored": revision, "changes": changes })).with_revision(view.revision()));
        }
        match self.commit(&plan, &call, note).await {
            Ok(made) => Ok(Answer::ok(json!({ "restored": revision, "changes": changes })).with_revision(made)),
            Err(StoreError::Conflict) => Err(Answer::conflict()),
            Err(error) => Err(error.into()),
        }
    }

    fn told_edits(&self, edits: &[Edited], role: AdminRole) -> Value {
        let value = |entry: &Option<Arc<Entry>>| entry.as_deref().map(parsed);
        edits.iter().map(|edit| self.difference(&edit.key, value(&edit.before), value(&edit.after), role)).collect()
    }
}

fn summary(change: &Change) -> Value {
    let at = change.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let edited = |edit: &Edited| {
        let what = match (&edit.before, &edit.after) {
            (None, _) => "created",
            (_, None) => "removed",
            _ => "changed",
        };
        json!({ "key": format!("{ROOT}{}", edit.key), "change": what })
    };
    json!({
        "revision": change.revision,
        "at_ms": u64::try_from(at).unwrap_or(u64::MAX),
        "by": change.by,
        "changes": change.edits.iter().map(edited).collect::<Vec<_>>(),
    })
}

fn revision(text: &str) -> Result<u64, Answer> {
    text.parse().map_err(|_| Answer::bad("the revision is no number"))
}

fn unknown(revision: u64) -> Answer {
    Answer::error(StatusCode::NOT_FOUND, format!("revision {revision} is not in the history"))
}
