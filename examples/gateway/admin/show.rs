//! What the terminal is shown.
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::apply::{Outcome, Plan};
use super::client::Answer;

/// Shows an answer by `show`, or as JSON; a refusal in one line. Gives the exit code.
pub(super) fn answer(answer: &Answer, json: bool, show: impl FnOnce(&Value)) -> ExitCode {
    if json {
        println!("{}", pretty(&answer.body));
    } else if answer.is_success() {
        show(&answer.body);
    }
    if answer.is_success() {
        return ExitCode::SUCCESS;
    }
    if !json {
        eprintln!("{}", fault(answer));
    }
    ExitCode::from(1)
}

/// Why something was refused, in words.
pub(super) fn fault(answer: &Answer) -> String {
    let text = |name: &str| answer.body.get(name).and_then(Value::as_str).map(str::to_owned);
    let errors = answer.body.get("errors").and_then(Value::as_array);
    let error = |error: &Value| {
        let part = |name: &str| error.get(name).map(plain).unwrap_or_default();
        format!("{} {}: {}", part("resource_type"), part("resource_id"), part("error"))
    };
    let said = match errors {
        Some(errors) if !errors.is_empty() => errors.iter().map(error).collect::<Vec<_>>().join("\n"),
        _ => text("error_msg").or_else(|| text("message")).unwrap_or_else(|| plain(&answer.body)),
    };
    format!("refused with {}: {said}", answer.status.as_u16())
}

/// A list as a table, one item as JSON.
pub(super) fn items(body: &Value) {
    let Some(list) = body.get("list").and_then(Value::as_array) else {
        println!("{}", pretty(body.get("value").unwrap_or(body)));
        return;
    };
    let mut rows = vec![["ID", "NAME", "WHAT", "REVISION"].map(str::to_owned)];
    for entry in list {
        let value = entry.get("value").unwrap_or(&Value::Null);
        let key = entry.get("key").and_then(Value::as_str).unwrap_or_default();
        let id = key.splitn(4, '/').nth(3).unwrap_or(key);
        let name = value.get("name").map(plain).unwrap_or_default();
        rows.push([id.to_owned(), name, what(value), entry.get("modifiedIndex").map(plain).unwrap_or_default()]);
    }
    table(&rows);
    println!("{} in all", body.get("total").map_or_else(|| list.len().to_string(), plain));
}

/// What tells an item from others of its kind.
fn what(value: &Value) -> String {
    let joined = |value: &Value| match value {
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => plain(other),
    };
    let field = |name: &str| value.get(name).map(joined);
    let mut parts: Vec<String> =
        ["methods", "host", "hosts", "uri", "uris", "snis", "sni"].into_iter().filter_map(field).collect();
    for node in value.get("nodes").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| node.get(name).map(plain).unwrap_or_default();
        parts.push(format!("{}:{}={}", part("host"), part("port"), part("weight")));
    }
    if let Some(plugins) = value.get("plugins").and_then(Value::as_object).filter(|plugins| !plugins.is_empty()) {
        parts.push(format!("[{}]", plugins.keys().cloned().collect::<Vec<_>>().join(" ")));
    }
    parts.join(" ")
}

/// What a write did, or would do.
pub(super) fn written(body: &Value) {
    if body.get("dry_run") == Some(&Value::Bool(true)) {
        changes(body);
        for finding in body.get("findings").and_then(Value::as_array).into_iter().flatten() {
            println!("  {}: {}", text(finding, "severity"), text(finding, "message"));
        }
        for lint in body.get("shadowed").and_then(Value::as_array).into_iter().flatten() {
            println!("  warning: {}", text(lint, "message"));
        }
        println!("nothing was changed");
    } else if let Some(list) = body.get("changes").and_then(Value::as_array) {
        list.iter().for_each(|key| println!("{}", plain(key)));
        println!("{} items changed", list.len());
    } else {
        println!("{}: done", text(body, "key"));
    }
}

/// Changes of items, with their operations.
pub(super) fn changes(body: &Value) {
    for change in body.get("changes").and_then(Value::as_array).into_iter().flatten() {
        let sign = match change.get("change").and_then(Value::as_str) {
            Some("created") => '+',
            Some("removed") => '-',
            Some("changed") => '~',
            _ => '=',
        };
        println!("{sign} {}", text(change, "key"));
        change.get("patch").and_then(Value::as_array).into_iter().flatten().for_each(operation);
    }
}

/// The last changes as a table.
pub(super) fn history(body: &Value) {
    let mut rows = vec![["REVISION", "AT", "BY", "CHANGES"].map(str::to_owned)];
    for change in body.get("list").and_then(Value::as_array).into_iter().flatten() {
        let edits = change.get("changes").and_then(Value::as_array).into_iter().flatten();
        let edits: Vec<_> = edits.map(|edit| format!("{} {}", text(edit, "change"), text(edit, "key"))).collect();
        let more = edits.len().saturating_sub(3);
        let mut told = edits.into_iter().take(3).collect::<Vec<_>>().join(", ");
        if more > 0 {
            told.push_str(&format!(", and {more} more"));
        }
        let at = change.get("at_ms").and_then(Value::as_u64).map(|at| UNIX_EPOCH + Duration::from_millis(at));
        let at = at.map(httpdate::fmt_http_date).unwrap_or_default();
        rows.push([text(change, "revision"), at, text(change, "by"), told]);
    }
    table(&rows);
}

/// What became of a plan: in words unless JSON has said it. Gives the exit code.
pub(super) fn outcome(outcome: &Outcome, as_json: bool) -> ExitCode {
    match &outcome.error {
        None if as_json => {}
        None => eprintln!("{} changes made", outcome.made),
        Some((error, _)) => eprintln!("{error}; {} changes were made before", outcome.made),
    }
    outcome.error.as_ref().map_or(ExitCode::SUCCESS, |(_, code)| ExitCode::from(*code))
}

/// What `apply` does, or would do.
pub(super) fn plan(plan: &Plan, as_json: bool, prune: bool, outcome: Option<&Outcome>) {
    if as_json {
        let paths = plan.created.iter().map(|item| &item.path).collect::<Vec<_>>();
        let changed: Vec<_> =
            plan.changed.iter().map(|(item, patch)| json!({"path": item.path, "patch": patch})).collect();
        let told = json!({
            "created": paths, "changed": changed, "removed": plan.removed, "unchanged": plan.unchanged,
            "not_in_file": plan.kept, "applied": outcome.is_some_and(|outcome| outcome.error.is_none()),
            "made": outcome.map_or(0, |outcome| outcome.made),
            "error": outcome.and_then(|outcome| outcome.error.as_ref()).map(|(error, _)| error),
        });
        println!("{}", pretty(&told));
        return;
    }
    plan.created.iter().for_each(|item| println!("+ {}", item.path));
    for (item, patch) in &plan.changed {
        println!("~ {}", item.path);
        patch.iter().for_each(operation);
    }
    plan.removed.iter().for_each(|path| println!("- {path}"));
    let (created, changed, removed) = (plan.created.len(), plan.changed.len(), plan.removed.len());
    println!("{created} to create, {changed} to change, {removed} to remove, {} the same", plan.unchanged);
    if plan.kept > 0 && !prune {
        println!("{} items are not in the file and stay; --prune removes them", plan.kept);
    }
}

fn operation(operation: &Value) {
    let value = operation.get("value").map(|value| format!(" {value}")).unwrap_or_default();
    println!("    {} {}{value}", text(operation, "op"), text(operation, "path"));
}

fn table(rows: &[[String; 4]]) {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths = [0, 1, 2, 3].map(|column| width(column).unwrap_or(0));
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).map(plain).unwrap_or_default()
}

/// A text without quotes; nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
