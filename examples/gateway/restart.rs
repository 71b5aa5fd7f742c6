//! Settings that a running process does not take: they are named, instead of being ignored in silence.
use serde_json::Value;
use tollgate::model::Settings;

/// Settings under `tollgate` that are read at the start alone.
const AT_START: &[&str] = &[
    "workers",
    "store",
    "admin",
    "control",
    "status",
    "keyring",
    "keyring_format",
    "role",
    "drain",
    "acme",
    "ocsp_stapling",
];

/// Limits that the listeners' connections have from the start, or that the drain has.
const LIVE_LIMITS: &[&str] = &[
    "body_bytes",
    "body_timeout_ms",
    "response_header_bytes",
    "response_header_count",
    "max_interim_responses",
    "replay_bytes",
];

/// What was told of them.
pub(crate) struct Restart {
    started: Value,
    told: Vec<String>,
}

impl Restart {
    /// `started`: the file's settings, as the process began with them.
    pub(crate) fn new(started: &Settings) -> Self {
        Self { started: serde_json::to_value(started).unwrap_or_default(), told: Vec::new() }
    }

    /// Names each setting that is different from what the process has, once.
    pub(crate) fn look(&mut self, now: &Settings) {
        let now = serde_json::to_value(now).unwrap_or_default();
        let named = differences(&self.started, &now);
        for name in named.iter().filter(|name| !self.told.contains(name)) {
            eprintln!("warning: tollgate.{name} has changed, which takes effect at the next start");
        }
        self.told = named;
    }
}

fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut named: Vec<String> =
        AT_START.iter().filter(|name| before.get(**name) != now.get(**name)).map(ToString::to_string).collect();
    let limits = |value: &Value| value.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, now) = (limits(before), limits(now));
    let changed = now.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let changed = changed.filter(|(name, _)| !LIVE_LIMITS.contains(&name.as_str()));
    named.extend(changed.map(|(name, _)| format!("limits.{name}")));
    named
}
