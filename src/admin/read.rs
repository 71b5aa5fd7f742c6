//! Reading items.
use std::sync::Arc;

use http::StatusCode;
use http::header::{IF_NONE_MATCH, VARY};
use serde_json::{Map, Value, json};

use super::answer::{Answer, names};
use super::api::{Call, Shared};
use super::paging::{Filters, Paging};
use super::patch::list_nodes;
use super::redact;
use crate::model::{AdminRole, Kind};
use crate::store::{Entry, Key};

/// What keys begin with in answers, as in the reference's.
pub(super) const ROOT: &str = "/apisix/";

impl Shared {
    /// One item. `If-None-Match` with its entity tag gives 304.
    pub(super) fn read(&self, kind: Kind, call: &Call) -> Result<Answer, Answer> {
        let key = key(kind, &call.segments).ok_or_else(Answer::not_found)?;
        let view = self.mirror.view();
        let entry = view.get(key.as_str()).ok_or_else(Answer::not_found)?;
        let unchanged = call.condition(IF_NONE_MATCH)?.is_some_and(|field| names(&field, Some(entry.modified)));
        let answer = match unchanged {
            true => Answer::empty(StatusCode::NOT_MODIFIED),
            false => Answer::ok(self.shown(call.caller.role, &key, entry)),
        };
        Ok(answer.with_etag(entry.modified).with(VARY, http::HeaderValue::from_static("x-api-key")))
    }

    /// All items of a kind, by page and filter.
    pub(super) async fn list(self: &Arc<Self>, kind: Kind, call: Call) -> Result<Answer, Answer> {
        let paging = Paging::of(&call.query)?;
        let filters = Filters::of(&call.query, kind)?;
        let prefix = match kind {
            Kind::Credential => format!("consumers/{}/credentials/", call.segment(0)),
            kind => Key::folder(kind),
        };
        let view = self.mirror.view();
        if kind == Kind::Credential && view.get(&format!("consumers/{}", call.segment(0))).is_none() {
            return Err(Answer::error(StatusCode::NOT_FOUND, "consumer not found"));
        }
        let shared = Arc::clone(self);
        // A long list takes its time.
        let list = tokio::task::spawn_blocking(move || {
            let entries = view.range(&prefix).filter(|(key, _)| key.kind() == kind);
            let mut list: Vec<(&Key, &Arc<Entry>)> = match filters.is_empty() {
                true => entries.collect(),
                false => entries.filter(|(_, entry)| filters.hold(&parsed(entry))).collect(),
            };
            list.sort_by(|left, right| (left.1.created, left.0).cmp(&(right.1.created, right.0)));
            let total = list.len();
            let (list, next) = paging.of_list(list, |(key, entry)| (entry.created, key.as_str().to_owned()));
            let role = call.caller.role;
            let list: Vec<_> = list.into_iter().map(|(key, entry)| shared.shown(role, key, entry)).collect();
            let mut body = json!({ "total": total, "list": list });
            if let (Some(next), Some(body)) = (next, body.as_object_mut()) {
                body.insert("next_cursor".to_owned(), next.into());
            }
            Answer::ok(body).with_revision(view.revision())
        });
        list.await.map_err(|_| Answer::internal())
    }

    /// An item as a reader sees it.
    fn shown(&self, role: AdminRole, key: &Key, entry: &Entry) -> Value {
        let mut value = parsed(entry);
        self.hide(role, key, &mut value);
        json!({
            "key": format!("{ROOT}{key}"),
            "value": value,
            "createdIndex": entry.created,
            "modifiedIndex": entry.modified,
        })
    }

    /// A value as a role sees it: `nodes` as a list, secrets hidden.
    pub(super) fn hide(&self, role: AdminRole, key: &Key, value: &mut Value) {
        list_nodes(value);
        redact::hide(&self.sealing, role, key, value);
    }
}

/// The value of an entry. What is no JSON (another writer's) is shown as nothing, and reported by the mirror.
pub(super) fn parsed(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.value).unwrap_or_else(|_| Value::Object(Map::new()))
}

/// The key that the parts of a path name.
pub(super) fn key(kind: Kind, segments: &[String]) -> Option<Key> {
    let segment = |index| segments.get(index).map(String::as_str);
    match kind {
        Kind::Credential => Key::new(kind, &format!("{}/credentials/{}", segment(0)?, segment(1)?)),
        Kind::Secret => Key::new(kind, &format!("{}/{}", segment(0)?, segment(1)?)),
        kind => Key::new(kind, segment(0)?),
    }
}
