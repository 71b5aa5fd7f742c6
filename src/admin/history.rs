//! What was: listed, compared, restored.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::api::{Call, Note, Shared};
use super::plan::Plan;
use super::read::{ROOT, parsed};
use super::write::{IN_FORCE, RETRIES, newest};
use crate::model::{AdminRole, Kind};
use crate::store::{Change, Edited, Entries, Entry, Guard, Key, StoreError, View};

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
    pub(super) async fn history_diff(self: &Arc<Self>, call: &Call) -> Result<Answer, Answer> {
        let (from, to) = (revision(call.segment(0))?, revision(call.segment(1))?);
        let (shared, role) = (Arc::clone(self), call.caller.role);
        // It may be of whole configurations.
        let told = tokio::task::spawn_blocking(move || {
            let edits = shared.mirror.history().diff(from, to)?;
            Some(shared.told_edits(&edits, role))
        });
        let told = told.await.map_err(|_| Answer::internal())?.ok_or_else(|| unknown(from.min(to)))?;
        Ok(Answer::ok(json!({ "from": from, "to": to, "changes": told })))
    }

    /// Makes the configuration what it was at a revision, in one transaction that is judged like any other.
    pub(super) async fn restore(self: &Arc<Self>, call: Call, note: &mut Note) -> Result<Answer, Answer> {
        call.unconditional()?;
        let revision = revision(call.segment(0))?;
        let then = Arc::new(self.mirror.history().state_at(revision).ok_or_else(|| unknown(revision))?);
        let mut view = self.mirror.view();
        let mut changes = BTreeSet::new();
        for round in 0.. {
            let (now, target) = (Arc::clone(&view), Arc::clone(&then));
            let planned = tokio::task::spawn_blocking(move || back(now, &target));
            let (plan, left_out) = planned.await.map_err(|_| Answer::internal())??;
            let plan = self.judge(plan).await?;
            plan.note(self, note);
            if call.query.is_true("dry_run") {
                return self.preview(plan, StatusCode::OK).await;
            }
            changes.extend(plan.changes.iter().map(|change| format!("{ROOT}{}", change.key)));
            let made = match plan.changes.is_empty() {
                true => view.revision(),
                false => match self.commit(&plan, &call, note).await {
                    Ok(made) => made,
                    Err(StoreError::Conflict) if round < RETRIES => {
                        view = newest(&self.mirror, &view).await;
                        continue;
                    }
                    Err(error) => return Err(plan.not_made(error)),
                },
            };
            let as_then = plan.changes.is_empty() || self.has_keys_of(made, &then, &left_out).await;
            if as_then || round >= RETRIES {
                let left_out: Vec<_> = left_out.iter().map(|key| format!("{ROOT}{key}")).collect();
                let body = json!({ "restored": revision, "changes": changes, "left_out": left_out });
                return if as_then { Ok(Answer::ok(body).with_revision(made)) } else { Err(Answer::conflict()) };
            }
            view = self.mirror.view();
        }
        Err(Answer::conflict())
    }

    /// Whether the store had the items of `then` when a restore was made. What is removed meanwhile escapes the guards of
    /// some stores, which know of an item's last change but not of one that is not there any more.
    async fn has_keys_of(&self, made: u64, then: &Entries, left_out: &BTreeSet<Key>) -> bool {
        let _ = tokio::time::timeout(IN_FORCE, self.mirror.reached(made)).await;
        // A mirror that has not heard of it yet cannot tell; the change is made all the same.
        let Some(now) = self.mirror.history().state_at(made) else { return true };
        let keys = |entries: &'_ Entries| -> Vec<Key> {
            entries.iter().map(|(key, _)| key.clone()).filter(|key| !left_out.contains(key)).collect()
        };
        keys(&now) == keys(then)
    }

    fn told_edits(&self, edits: &[Edited], role: AdminRole) -> Value {
        let value = |entry: &Option<Arc<Entry>>| entry.as_deref().map(parsed);
        edits.iter().map(|edit| self.difference(&edit.key, value(&edit.before), value(&edit.after), role)).collect()
    }
}

/// The way back to what was, and the items on it that nobody can read any more: those stay as they are.
fn back(view: Arc<View>, then: &Entries) -> Result<(Plan, BTreeSet<Key>), Answer> {
    let mut plan = Plan::new(Arc::clone(&view));
    let mut references = Vec::new();
    let mut left_out = BTreeSet::new();
    plan.guards.push(Guard::Unchanged { prefix: String::new(), since: view.revision() });
    let gone: Vec<_> = view.range("").map(|(key, _)| key).filter(|key| then.get(key.as_str()).is_none()).collect();
    gone.iter().for_each(|key| plan.guard_item(key));
    plan.remove(gone);
    for (key, entry) in then.iter() {
        if view.get(key.as_str()).is_some_and(|now| now.value == entry.value) {
            continue;
        }
        match plan.put_back(key, &parsed(entry)) {
            Ok(found) => references.push((key.clone(), found)),
            Err(_) => {
                left_out.insert(key.clone());
            }
        }
    }
    for (key, references) in &references {
        plan.judge_references(key, references)?;
        if key.kind() == Kind::GlobalRule {
            plan.judge_global_rule(key)?;
        }
    }
    Ok((plan, left_out))
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
