//! Settings that a running process does not take: they are named, instead of being ignored in silence.
use serde_json::{Map, Value};
use tollgate::model::Settings;

/// Settings under `tollgate` that are read at the start alone. `errors`: the answers that are made before a request has reached
/// the gateway have one form as long as the process lives.
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
    "errors",
];

/// Limits that are live; the others are those of listeners' connections, or the drain's, from the start.
const LIVE_LIMITS: &[&str] = &[
    "body_bytes",
    "body_timeout_ms",
    "response_header_bytes",
    "response_header_count",
    "max_interim_responses",
    "replay_bytes",
];

/// What of the file's settings a running process takes.
#[derive(Clone, Copy)]
enum Live {
    /// What the gateway and the listeners take: the file is the configuration.
    All,
    /// Nothing but the listeners: the configuration is in a store.
    Listeners,
}

impl Live {
    fn is_setting(self, name: &str) -> bool {
        match self {
            Self::All => !AT_START.contains(&name),
            Self::Listeners => name == "listeners",
        }
    }

    fn is_limit(self, name: &str) -> bool {
        matches!(self, Self::All) && LIVE_LIMITS.contains(&name)
    }
}

/// What was told of them.
pub(crate) struct Restart {
    started: Map<String, Value>,
    live: Live,
    told: Vec<String>,
}

impl Restart {
    /// `started`: the file's settings, as the process began with them.
    pub(crate) fn new(started: &Settings) -> Self {
        Self { started: fields(started), live: Live::All, told: Vec::new() }
    }

    /// As [`new`](Self::new), for a file that has the settings beside a store.
    pub(crate) fn beside_store(started: &Settings) -> Self {
        Self { live: Live::Listeners, ..Self::new(started) }
    }

    /// Names each setting that is different from what the process has, once.
    pub(crate) fn look(&mut self, now: &Settings) {
        let named = self.differences(&fields(now));
        for name in named.iter().filter(|name| !self.told.contains(name)) {
            eprintln!("warning: tollgate.{name} has changed, which takes effect at the next start");
        }
        self.told = named;
    }

    fn differences(&self, now: &Map<String, Value>) -> Vec<String> {
        let settings = changed(&self.started, now).filter(|name| *name != "limits" && !self.live.is_setting(name));
        let mut named: Vec<String> = settings.map(ToOwned::to_owned).collect();
        let limits = |of: &Map<String, Value>| of.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
        let (before, now) = (limits(&self.started), limits(now));
        let limits = changed(&before, &now).filter(|name| !self.live.is_limit(name));
        named.extend(limits.map(|name| format!("limits.{name}")));
        named
    }
}

fn fields(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Names of the fields that differ, those that only one of the two has included.
fn changed<'a>(before: &'a Map<String, Value>, now: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let differs = now.iter().filter(|(name, value)| before.get(*name) != Some(value)).map(|(name, _)| name);
    gone.chain(differs).map(String::as_str)
}
