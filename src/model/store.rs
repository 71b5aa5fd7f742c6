//! [`StoreSettings`]: the store that the configuration is in, `tollgate.store`.
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::shape::{Field, List, Shape, Struct, Text, at_least, text};
use super::check::walk::Walk;
use super::{Seconds, Sensitive};

/// The store that the configuration is in instead of the file, `tollgate.store` (config-sources.md §3, §5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// What keeps it. Default `disk`.
    pub kind: StoreKind,
    /// The database of a `disk` store. Default `tollgate.redb` in the working directory.
    pub path: PathBuf,
    /// Where the servers of an `etcd` store are.
    pub etcd: EtcdSettings,
    /// Where the last good configuration is kept for a start without the store. Unset: `tollgate.last-good` in the
    /// working directory for `etcd`, none for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_copy: Option<PathBuf>,
    /// Whether a re-read that finds no route any more is held back until it was confirmed or found often enough
    /// (CFG-03). Default `true`.
    pub refuse_empty_resync: bool,
    /// How much of what was is kept.
    pub history: HistorySettings,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            kind: StoreKind::default(),
            path: PathBuf::from("tollgate.redb"),
            etcd: EtcdSettings::default(),
            local_copy: None,
            refuse_empty_resync: true,
            history: HistorySettings::default(),
        }
    }
}

/// What keeps a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StoreKind {
    /// The process: gone with it.
    Memory,
    /// A database file of this machine.
    #[default]
    Disk,
    /// A cluster of etcd servers.
    Etcd,
}

/// How much of what was is kept: the oldest changes go when either bound is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// Changes, 0 to 100000. Default 1000.
    pub changes: usize,
    /// Bytes of them. Default 67108864 (64 MiB).
    pub bytes: usize,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self { changes: 1000, bytes: 64 << 20 }
    }
}

/// Where the servers of an etcd store are, `tollgate.store.etcd`, named as the reference names them
/// (config-sources.md §5). Times in seconds, fractions allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct EtcdSettings {
    /// The servers, `http://10.0.0.1:2379` or `https://…`. Default `http://127.0.0.1:2379`.
    pub host: Vec<String>,
    /// What all keys begin with. Default `/apisix`.
    pub prefix: String,
    /// How long one answer may take. Default 30.
    pub timeout: Seconds,
    /// After half of this time without news the watch is asked for its progress, after all of it the store itself; without
    /// an answer within `timeout`, or if the watch kept silent about a change, it begins anew. Default 50.
    pub watch_timeout: Seconds,
    /// The least time between two full reads after faults, between two attempts at a watch that the server refuses, and the
    /// longest between two that fail otherwise; up to half of it more. At least 0.1 s between watches. Default 5.
    pub resync_delay: Seconds,
    /// How long a server that failed three times in a row is left alone. Default 10.
    pub health_check_timeout: Seconds,
    /// How often the first read tries all servers once more before it fails. Default 2: three rounds.
    pub startup_retry: u32,
    /// Name to log in with. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password to log in with, or a secret reference. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Sensitive>,
    /// TLS to servers whose address begins with `https://`.
    pub tls: EtcdTls,
}

impl Default for EtcdSettings {
    fn default() -> Self {
        Self {
            host: vec!["http://127.0.0.1:2379".to_owned()],
            prefix: "/apisix".to_owned(),
            timeout: Seconds(30.0),
            watch_timeout: Seconds(50.0),
            resync_delay: Seconds(5.0),
            health_check_timeout: Seconds(10.0),
            startup_retry: 2,
            user: None,
            password: None,
            tls: EtcdTls::default(),
        }
    }
}

impl EtcdSettings {
    /// [`EtcdSettings::timeout`] as a [`Duration`].
    pub fn timeout(&self) -> Duration {
        self.timeout.duration()
    }

    /// [`EtcdSettings::watch_timeout`] as a [`Duration`].
    pub fn watch_timeout(&self) -> Duration {
        self.watch_timeout.duration()
    }

    /// [`EtcdSettings::resync_delay`] as a [`Duration`].
    pub fn resync_delay(&self) -> Duration {
        self.resync_delay.duration()
    }

    /// [`EtcdSettings::health_check_timeout`] as a [`Duration`].
    pub fn health_check_timeout(&self) -> Duration {
        self.health_check_timeout.duration()
    }
}

/// TLS to etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct EtcdTls {
    /// File of the authorities to trust, PEM. Unset: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// File of the certificate to show, PEM. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// File of its key, PEM. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Whether the server's certificate is verified. Default `true`.
    pub verify: bool,
    /// The name that its certificate must have. Unset: the host of its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
}

impl Default for EtcdTls {
    fn default() -> Self {
        Self { ca: None, cert: None, key: None, verify: true, sni: None }
    }
}

const TLS: Struct = Struct::new(&[
    Field::new("ca", text(4096)),
    Field::new("cert", text(4096)),
    Field::new("key", text(4096)),
    Field::new("verify", Shape::Bool),
    Field::new("sni", text(255)),
])
.with_rule(certificate_with_key);

const ETCD: Struct = Struct::new(&[
    Field::new("host", Shape::List(&List { of: text(1024), min: 1, max: 64, unique: true })),
    Field::new("prefix", text(256)),
    Field::new("timeout", Shape::Above(0.0)),
    Field::new("watch_timeout", Shape::Above(0.0)),
    Field::new("resync_delay", Shape::From(0.0)),
    Field::new("health_check_timeout", Shape::Above(0.0)),
    Field::new("startup_retry", Shape::Int(0, 1000)),
    Field::new("user", text(256)),
    Field::new("password", Shape::Text(Text { min: 1, max: 4096, rule: None })),
    Field::new("tls", Shape::Struct(&TLS)),
])
.with_rule(servers);

const HISTORY: Struct = Struct::new(&[Field::new("changes", Shape::Int(0, 100_000)), Field::new("bytes", at_least(0))]);

pub(crate) const STORE: Shape = Shape::Struct(&Struct::new(&[
    Field::new("kind", Shape::Word(&["memory", "disk", "etcd"])),
    Field::new("path", text(4096)),
    Field::new("etcd", Shape::Struct(&ETCD)),
    Field::new("local_copy", text(4096)),
    Field::new("refuse_empty_resync", Shape::Bool),
    Field::new("history", Shape::Struct(&HISTORY)),
]));

fn certificate_with_key<'v>(tls: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    if tls.contains_key("cert") != tls.contains_key("key") {
        walk.error("has one of `cert` and `key` only", "write both, or none");
    }
}

fn servers<'v>(etcd: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let hosts = etcd.get("host").and_then(Value::as_array);
    let mut texts = hosts.into_iter().flatten().filter_map(Value::as_str);
    let is_address = |text: &str| {
        text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.path() == "/"
        })
    };
    if texts.any(|text| !is_address(text)) {
        walk.under("host", |walk| {
            walk.error("has an address that is none", "write `http://HOST:PORT` or `https://HOST:PORT`");
        });
    }
    if etcd.contains_key("user") != etcd.contains_key("password") {
        walk.error("has one of `user` and `password` only", "write both, or none");
    }
    let prefix = etcd.get("prefix").and_then(Value::as_str);
    if prefix.is_some_and(|prefix| !prefix.starts_with('/') || prefix.ends_with('/')) {
        walk.under("prefix", |walk| {
            walk.error("does not begin with `/`, or ends with it", "write it as `/apisix`");
        });
    }
}
