//! Judging without storing.
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::api::{Call, Shared};
use super::body::{read_document, read_value};
use super::plan::refused;
use super::{item, schema};
use crate::Body;
use crate::model::{Finding, Kind, ReadOptions, by_id, read};

impl Shared {
    /// One item by its schema alone: no references, no look at plugins' blocks.
    pub(super) async fn validate_item(&self, call: Call, body: Body) -> Result<Answer, Answer> {
        let kind = schema::kind(call.segment(0))?;
        let value = read_value(body).await?;
        let unknown = self.mirror.view().snapshot().settings.unknown_fields;
        match item::read(kind, &id(kind, &value), &value, unknown) {
            None => Err(Answer::bad(format!("not found schema: {}", call.segment(0)))),
            Some(Ok(_)) => Ok(Answer::empty(StatusCode::OK)),
            Some(Err(rejected)) => Err(refused(&rejected)),
        }
    }

    /// A whole document, as it would be loaded, but for references.
    pub(super) async fn validate_document(self: &Arc<Self>, call: Call, body: Body) -> Result<Answer, Answer> {
        let document = read_document(&call.headers, body).await?;
        let errors = self.judge_document(document).await?;
        match errors.is_empty() {
            true => Ok(Answer::ok(json!({}))),
            false => Err(invalid(errors)),
        }
    }

    /// Every fault of a document, found off the runtime's threads.
    pub(super) async fn judge_document(self: &Arc<Self>, document: Value) -> Result<Vec<Value>, Answer> {
        let _one = self.judging.lock().await;
        let shared = Arc::clone(self);
        let errors = tokio::task::spawn_blocking(move || shared.faults(&document));
        errors.await.map_err(|_| Answer::internal())
    }

    fn faults(&self, document: &Value) -> Vec<Value> {
        // A document brings no settings along: those of the process count.
        let settings = Arc::clone(&self.mirror.view().snapshot().settings);
        let read = match document.get(Kind::Settings.root_key()) {
            Some(_) => read(document, &ReadOptions::default()),
            None => {
                let mut read = read(document, &ReadOptions::default().with_unknown_fields(settings.unknown_fields));
                read.snapshot.settings = settings;
                read
            }
        };
        let places = by_id(document);
        let mut faults: Vec<Finding> = read.errors().cloned().collect();
        for finding in self.judge.check(&read.snapshot).into_iter().filter(Finding::is_error) {
            if !faults.iter().any(|known| known.key() == finding.key()) {
                faults.push(finding);
            }
        }
        let told = |finding: &Finding| {
            let id = finding.id.clone();
            let index = id.as_ref().and_then(|id| places.get(&(finding.kind.root_key(), id.clone())).copied());
            json!({
                "resource_type": finding.kind.root_key(),
                "resource_id": id,
                "index": index.or(finding.index),
                "error": finding.to_string(),
            })
        };
        faults.iter().map(told).collect()
    }
}

/// 400 with the faults of a document.
pub(super) fn invalid(errors: Vec<Value>) -> Answer {
    let body = json!({ "error_msg": "Configuration validation failed", "errors": errors });
    Answer::json(StatusCode::BAD_REQUEST, body)
}

/// The id that an item says, else one of its form.
fn id(kind: Kind, value: &Value) -> String {
    let named = value.get("id").or_else(|| value.get("username")).or_else(|| value.get("name"));
    let named = match named {
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    match kind {
        Kind::Credential => {
            let short = named.unwrap_or_else(|| "credential".to_owned());
            if short.contains('/') { short } else { format!("user/credentials/{short}") }
        }
        Kind::Consumer => value.get("username").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => value.get("id").and(named).unwrap_or_else(|| "1".to_owned()),
    }
}
