//! PUT, POST, PATCH and DELETE of single items.
//!
//! A write looks at the store once, makes a [`Plan`] of the look, has it judged, and commits it under guards that hold what
//! the plan rests on. When somebody else was faster, it looks again.
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use serde_json::{Map, Value, json};

use super::answer::{Answer, names};
use super::api::{Call, Note, Shared};
use super::body::{content_type, read_value};
use super::patch::Patch;
use super::plan::{Plan, object};
use super::read::{ROOT, key};
use super::{redact, references};
use crate::Body;
use crate::model::{AdminRole, Kind};
use crate::store::{Guard, Key, Mirror, StoreError, View};

/// How often a write looks again because somebody else was faster.
pub(super) const RETRIES: u32 = 3;
/// How long an answer waits for the change to be in force. The change is made all the same.
pub(super) const IN_FORCE: Duration = Duration::from_secs(1);

/// What is to be done to one item.
pub(super) enum Verb {
    /// Replaces or creates it.
    Put(Map<String, Value>),
    /// Creates it.
    Create(Map<String, Value>),
    /// Changes a part of it.
    Patch(Patch),
    /// Removes it; with `force` whoever refers to it.
    Delete { force: bool },
}

/// A write of one item.
pub(super) struct Write {
    key: Key,
    verb: Verb,
    if_match: Option<String>,
    if_none_match: Option<String>,
    ttl: Option<Duration>,
}

impl Shared {
    pub(super) async fn put(
        self: &Arc<Self>,
        kind: Kind,
        call: Call,
        body: Body,
        note: &mut Note,
    ) -> Result<Answer, Answer> {
        self.judge_kind(kind, &call)?;
        let body = object(read_value(body).await?)?;
        let key = named(kind, &call.segments, &body)?;
        self.run(&call, key, Verb::Put(body), note).await
    }

    pub(super) async fn create(
        self: &Arc<Self>,
        kind: Kind,
        call: Call,
        body: Body,
        note: &mut Note,
    ) -> Result<Answer, Answer> {
        self.judge_kind(kind, &call)?;
        let body = object(read_value(body).await?)?;
        if body.contains_key("id") {
            return Err(Answer::bad(format!("wrong {kind} id, do not need it")));
        }
        // Ordered by time, so that pages of the newest stay together.
        let key = Key::new(kind, &uuid::Uuid::now_v7().to_string()).ok_or_else(Answer::not_found)?;
        self.run(&call, key, Verb::Create(body), note).await
    }

    pub(super) async fn patch(
        self: &Arc<Self>,
        kind: Kind,
        mut call: Call,
        body: Body,
        note: &mut Note,
    ) -> Result<Answer, Answer> {
        self.judge_kind(kind, &call)?;
        let body = read_value(body).await?;
        let key = key(kind, &call.segments).ok_or_else(Answer::not_found)?;
        let path = call.segments.split_off(call.segments.len().min(if kind == Kind::Secret { 2 } else { 1 }));
        let patch = match path.is_empty() {
            true => Patch::read(&content_type(&call.headers), body)?,
            false if content_type(&call.headers) == "application/json-patch+json" => {
                return Err(Answer::bad("a JSON Patch has its own paths: send it to the item"));
            }
            false => Patch::At(path, body),
        };
        self.run(&call, key, Verb::Patch(patch), note).await
    }

    pub(super) async fn delete(self: &Arc<Self>, kind: Kind, call: Call, note: &mut Note) -> Result<Answer, Answer> {
        // What no plugin is there for any more has to be able to go.
        let key = key(kind, &call.segments).ok_or_else(Answer::not_found)?;
        self.run(&call, key, Verb::Delete { force: call.query.is_true("force") }, note).await
    }

    /// What can be said of a kind before anything is read.
    fn judge_kind(&self, kind: Kind, call: &Call) -> Result<(), Answer> {
        match kind {
            Kind::PluginMetadata if !call.segment(0).is_empty() && self.registry.get(call.segment(0)).is_none() => {
                Err(Answer::bad("invalid plugin name"))
            }
            _ => Ok(()),
        }
    }

    async fn run(self: &Arc<Self>, call: &Call, key: Key, verb: Verb, note: &mut Note) -> Result<Answer, Answer> {
        let ttl = match call.query.get("ttl").filter(|_| !matches!(verb, Verb::Delete { .. })) {
            None => None,
            Some(text) => Some(seconds(text).ok_or_else(|| Answer::bad("invalid argument ttl: should be a number"))?),
        };
        let (if_match, if_none_match) = (call.condition(IF_MATCH)?, call.condition(IF_NONE_MATCH)?);
        let write = Write { key, verb, if_match, if_none_match, ttl };
        let repeats = !matches!(&write.verb, Verb::Patch(patch) if !patch.may_be_repeated());
        let mut view = self.mirror.view();
        let mut round = 0;
        loop {
            let (mut plan, references) = self.plan(Arc::clone(&view), &write)?;
            plan.judge_references(&write.key, &references)?;
            if write.key.kind() == Kind::GlobalRule {
                plan.judge_global_rule(&write.key)?;
            }
            let plan = self.judge(plan).await?;
            plan.note(self, note);
            if call.query.is_true("dry_run") {
                let status = write.status(&plan);
                return self.preview(plan, status).await;
            }
            match self.commit(&plan, call, note).await {
                Ok(revision) => return Ok(self.answer_of(&write, &plan, revision)),
                Err(StoreError::Conflict) if round < RETRIES && repeats => {
                    round += 1;
                    view = newest(&self.mirror, &view).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes the change of a plan, and waits until it is in force.
    pub(super) async fn commit(&self, plan: &Plan, call: &Call, note: &mut Note) -> Result<u64, StoreError> {
        let committed = self.mirror.commit(plan.transaction(&call.caller.name)).await?;
        note.revision = Some(committed.revision);
        if self.serves {
            self.mirror.applied(committed.revision, IN_FORCE).await;
        }
        Ok(committed.revision)
    }

    /// What a write does to the items of a look.
    fn plan(&self, view: Arc<View>, write: &Write) -> Result<(Plan, Vec<references::Reference>), Answer> {
        let mut plan = Plan::new(view);
        let key = &write.key;
        let entry = plan.view.get(key.as_str());
        let modified = entry.map(|entry| entry.modified);
        let stored = plan.stored(key);
        if write.if_match.as_ref().is_some_and(|field| !names(field, modified)) {
            return Err(Answer::precondition_failed("If-Match"));
        }
        if write.if_none_match.as_ref().is_some_and(|field| names(field, modified)) {
            return Err(Answer::precondition_failed("If-None-Match"));
        }
        if key.kind() == Kind::Credential {
            self.guard_owner(&mut plan, key)?;
        }
        plan.guard_item(key);
        let value = match (&write.verb, stored) {
            (Verb::Delete { force }, stored) => {
                stored.ok_or_else(Answer::not_found)?;
                self.plan_delete(&mut plan, key, *force)?;
                return Ok((plan, Vec::new()));
            }
            (Verb::Patch(_), None) => return Err(Answer::not_found()),
            (Verb::Patch(patch), Some(stored)) => self.patched(key, patch, stored)?,
            (Verb::Put(body) | Verb::Create(body), stored) => self.replaced(key, body, stored)?,
        };
        let references = plan.put(key, &value, write.ttl)?;
        Ok((plan, references))
    }

    /// A credential needs its consumer.
    fn guard_owner(&self, plan: &mut Plan, key: &Key) -> Result<(), Answer> {
        let owner = key.id().split_once('/').and_then(|(owner, _)| Key::new(Kind::Consumer, owner));
        let owner = owner.filter(|owner| plan.view.get(owner.as_str()).is_some());
        let Some(owner) = owner else { return Err(Answer::error(StatusCode::NOT_FOUND, "consumer not found")) };
        plan.guards.push(Guard::Exists(owner));
        Ok(())
    }

    fn plan_delete(&self, plan: &mut Plan, key: &Key, force: bool) -> Result<(), Answer> {
        let kind = key.kind();
        if !force {
            if let Some((by, id)) = references::user(plan.view.snapshot(), kind, key.id()) {
                return Err(Answer::bad(format!("can not delete this {kind}, {by} [{id}] is still using it now")));
            }
            references::referrers(kind).iter().for_each(|referrer| plan.guard_kind(*referrer));
        }
        plan.remove([key]);
        if kind == Kind::Consumer {
            let prefix = format!("{key}/credentials/");
            let credentials: Vec<_> = plan.view.range(&prefix).map(|(key, _)| key.clone()).collect();
            plan.guards.push(Guard::Unchanged { prefix, since: plan.view.revision() });
            plan.remove(&credentials);
        }
        Ok(())
    }

    /// What PUT and POST make of a body.
    fn replaced(&self, key: &Key, body: &Map<String, Value>, stored: Option<Value>) -> Result<Value, Answer> {
        forbid_times(body)?;
        let mut value = Value::Object(body.clone());
        redact::restore(&self.sealing, key, &mut value, stored.as_ref())?;
        name(key, &mut value);
        let created = stored.as_ref().and_then(|stored| stored.get("create_time")?.as_u64());
        stamp(&mut value, created, true);
        Ok(value)
    }

    fn patched(&self, key: &Key, patch: &Patch, stored: Value) -> Result<Value, Answer> {
        let mut value = stored.clone();
        super::patch::list_nodes(&mut value);
        let withheld = redact::Withheld::take(&self.sealing, key, &mut value);
        patch.apply(&mut value)?;
        withheld.put_back(&self.sealing, key, &mut value)?;
        redact::restore(&self.sealing, key, &mut value, Some(&stored))?;
        if id_of(key, &value).is_some_and(|id| id != short(key) && id != key.id()) {
            return Err(Answer::bad(format!("wrong {} id", key.kind())));
        }
        name(key, &mut value);
        let created = value.get("create_time").and_then(Value::as_u64);
        stamp(&mut value, created, !patch.sets("update_time"));
        Ok(value)
    }

    fn answer_of(&self, write: &Write, plan: &Plan, revision: u64) -> Answer {
        let key = &write.key;
        let shown = format!("{ROOT}{key}");
        let after = plan.changes.iter().find(|change| change.key == *key).and_then(|change| change.after.clone());
        let answer = match after {
            None => Answer::ok(json!({ "deleted": "1", "key": shown })),
            Some(mut value) => {
                self.hide(AdminRole::Admin, key, &mut value);
                let body = json!({ "key": shown, "value": value });
                Answer::json(write.status(plan), body).with_etag(revision)
            }
        };
        answer.with_revision(revision)
    }
}

/// The next look after one that somebody else made old.
pub(super) async fn newest(mirror: &Mirror, view: &View) -> Arc<View> {
    // Without news the same look is tried again: a guard may rest on more than the mirror has seen.
    let _ = tokio::time::timeout(IN_FORCE, mirror.reached(view.revision() + 1)).await;
    mirror.view()
}

impl Write {
    /// 201 for what is new.
    fn status(&self, plan: &Plan) -> StatusCode {
        let new = plan.changes.first().is_some_and(|change| change.before.is_none() && change.after.is_some());
        if new { StatusCode::CREATED } else { StatusCode::OK }
    }
}

/// The key that a path names, else a body.
fn named(kind: Kind, segments: &[String], body: &Map<String, Value>) -> Result<Key, Answer> {
    let field = if kind == Kind::Consumer { "username" } else { "id" };
    let wrong = || Answer::bad(format!("wrong {kind} {field}"));
    let own = match body.get(field) {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        Some(_) => return Err(wrong()),
    };
    if let Some(key) = key(kind, segments) {
        let same = |own: String| own == key.id() || own == short(&key);
        return if own.is_none_or(same) { Ok(key) } else { Err(wrong()) };
    }
    let own = own.filter(|own| !own.is_empty());
    let id = match (own, kind) {
        (Some(own), Kind::Credential) if !own.contains('/') => {
            Some(format!("{}/credentials/{own}", segments.first().map_or("", String::as_str)))
        }
        (own, _) => own,
    };
    match id {
        None => Err(Answer::bad(format!("missing {kind} {field}"))),
        Some(id) => Key::new(kind, &id).ok_or_else(wrong),
    }
}

/// The id as it stands in the item itself: that of a credential without its consumer's.
fn short(key: &Key) -> &str {
    match key.kind() {
        Kind::Credential => key.id().rsplit('/').next().unwrap_or_default(),
        _ => key.id(),
    }
}

fn id_of(key: &Key, value: &Value) -> Option<String> {
    let field = if key.kind() == Kind::Consumer { "username" } else { "id" };
    match value.get(field)? {
        Value::String(id) => Some(id.clone()),
        other => Some(other.to_string()),
    }
}

/// Writes the id into an item, as a string.
pub(super) fn name(key: &Key, value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    match key.kind() {
        Kind::Consumer => {
            object.remove("id");
            object.insert("username".to_owned(), key.id().into());
        }
        _ => {
            object.insert("id".to_owned(), short(key).into());
        }
    }
}

/// Times are the server's to set.
fn forbid_times(body: &Map<String, Value>) -> Result<(), Answer> {
    let inside = |name: &str| body.get(name).and_then(Value::as_object);
    let places = [Some(body), inside("upstream"), inside("plugins")];
    let times = ["create_time", "update_time"];
    let found = |place: &Map<String, Value>| times.into_iter().find(|time| place.contains_key(*time));
    match places.into_iter().flatten().find_map(found) {
        None => Ok(()),
        Some(time) => Err(Answer::bad(format!("the property is forbidden: {time}; the server sets it"))),
    }
}

fn stamp(value: &mut Value, created: Option<u64>, updated: bool) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Some(object) = value.as_object_mut() {
        object.insert("create_time".to_owned(), created.unwrap_or(now).into());
        if updated || !object.contains_key("update_time") {
            object.insert("update_time".to_owned(), now.into());
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}
