//! [`AdminSettings`]: who may change the configuration over HTTP, `tollgate.admin`.
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::shape::{Field, HOST, List, Shape, Struct, Text, text};
use super::check::walk::Walk;
use super::settings::SOCKET;
use super::{IpOrCidr, Sensitive};

/// Who may change the configuration over HTTP, and where, `tollgate.admin` (config-sources.md §3, security.md §10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// The address of the Admin API's own listener. Default 127.0.0.1:9180.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub listen: SocketAddr,
    /// Whether it may listen beyond the loopback without TLS (ADM-02). Default `false`.
    pub allow_insecure_listen: bool,
    /// What its paths begin with. Default `/apisix/admin`.
    pub prefix: String,
    /// The keys. Default none, and without any it does not start (ADM-01).
    pub keys: Vec<AdminKey>,
    /// Whether a key is asked for; `false` only for a listener on the loopback. Default `true`.
    pub admin_key_required: bool,
    /// Clients that are let in; others are answered 403. Default 127.0.0.0/8 and ::1.
    pub allow_networks: Vec<IpOrCidr>,
    /// Origins of browser pages that are let in; a request with any other `Origin` is answered 403 (ADM-04). Default
    /// none.
    pub allow_origins: Vec<String>,
    /// Host names that it is called by, beside `localhost` and addresses (ADM-04). Default none.
    pub names: Vec<String>,
    /// Whether keys are taken from the query argument `api_key` and the cookie `x_api_key` as well. Default `false`.
    pub key_in_query_and_cookie: bool,
    /// The file that every write is noted in, a line of JSON each; `-` for the terminal. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_log: Option<PathBuf>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9180)),
            allow_insecure_listen: false,
            prefix: "/apisix/admin".to_owned(),
            keys: Vec::new(),
            admin_key_required: true,
            allow_networks: ["127.0.0.0/8", "::1"].iter().filter_map(|text| text.parse().ok()).collect(),
            allow_origins: Vec::new(),
            names: Vec::new(),
            key_in_query_and_cookie: false,
            audit_log: None,
        }
    }
}

/// A key of the Admin API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AdminKey {
    /// Whose it is; stands in the audit log and in the history. Required.
    pub name: String,
    /// The key, at least 16 characters, or a secret reference. Required.
    pub key: Sensitive,
    /// What it is good for. Default `admin`.
    #[serde(default)]
    pub role: AdminRole,
}

/// What a key of the Admin API is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AdminRole {
    /// Everything.
    #[default]
    Admin,
    /// Reading, without secrets.
    Viewer,
}

/// What a process does (config-sources.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// It serves traffic, and the Admin API where that is set up.
    #[default]
    Traditional,
    /// It serves the Admin API only.
    ControlPlane,
    /// It serves traffic only.
    DataPlane,
}

const KEY: Struct = Struct::new(&[
    Field::required("name", text(256)),
    Field::required("key", Shape::Text(Text { min: 16, max: 4096, rule: None })),
    Field::new("role", Shape::Word(&["admin", "viewer"])),
]);

pub(crate) const ROLE: Shape = Shape::Word(&["traditional", "control_plane", "data_plane"]);

pub(crate) const ADMIN: Shape = Shape::Struct(
    &Struct::new(&[
        Field::new("listen", Shape::Text(Text { min: 1, max: 64, rule: Some(&SOCKET) })),
        Field::new("allow_insecure_listen", Shape::Bool),
        Field::new("prefix", text(256)),
        Field::new("keys", Shape::List(&List { of: Shape::Struct(&KEY), min: 0, max: 1024, unique: false })),
        Field::new("admin_key_required", Shape::Bool),
        Field::new("allow_networks", Shape::List(&List { of: Shape::Address, min: 0, max: 1024, unique: true })),
        Field::new("allow_origins", Shape::List(&List { of: text(1024), min: 0, max: 1024, unique: true })),
        Field::new("names", Shape::List(&List { of: HOST, min: 0, max: 1024, unique: true })),
        Field::new("key_in_query_and_cookie", Shape::Bool),
        Field::new("audit_log", text(4096)),
    ])
    .with_rule(keys),
);

fn keys<'v>(admin: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let mut seen = HashSet::new();
    let keys = admin.get("keys").and_then(Value::as_array);
    for name in keys.into_iter().flatten().filter_map(|key| key.get("name")?.as_str()) {
        if !seen.insert(name) {
            walk.under("keys", |walk| {
                walk.error(format!("has the name `{name}` twice"), "give each key a name of its own");
            });
        }
    }
    let prefix = admin.get("prefix").and_then(Value::as_str);
    if prefix.is_some_and(|prefix| !prefix.starts_with('/') || prefix.ends_with('/')) {
        walk.under("prefix", |walk| {
            walk.error("does not begin with `/`, or ends with it", "write it as `/apisix/admin`");
        });
    }
}
