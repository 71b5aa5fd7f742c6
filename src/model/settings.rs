//! [`Settings`]: what holds for the whole gateway, the root key `tollgate` of a document.
use std::collections::HashSet;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::acme::ACME;
use super::admin::{ADMIN, ROLE};
use super::cache::{CACHE_ZONES, apart};
use super::check::shape::{Field, List, Rule, Shape, Struct, Text};
use super::check::walk::Walk;
use super::dns::DNS;
use super::drain::DRAIN;
use super::limits::LIMITS;
use super::listener::LISTENERS;
use super::plugin::PLUGINS;
use super::store::STORE;
use super::{
    AcmeSettings, AdminSettings, CacheZoneSpec, DnsSettings, DrainSettings, IpOrCidr, Limits, ListenAddress,
    ListenerSpec, PluginMap, Protocol, Role, Sensitive, StoreSettings,
};

/// Settings of a gateway.
///
/// ```
/// use tollgate::model::Settings;
///
/// let settings: Settings = serde_json::from_str(r#"{"limits": {"max_connections": 500}}"#)?;
/// assert_eq!(settings.limits.max_connections, 500);
/// assert_eq!(settings.limits.header_count, 100);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Addresses of our own to listen on. Default: 127.0.0.1:9080 with `h1` and `h2c`.
    pub listeners: Vec<ListenerSpec>,
    /// Worker threads of the bundled gateway, 1–1024. Unset: one a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,
    /// How routes are matched.
    pub router: RouterSettings,
    /// Bodies of the gateway's own error answers. Default `catalogue`.
    pub errors: ErrorBodies,
    /// What becomes of an item that names a plugin which does not exist. Default `reject`.
    pub unknown_plugin: UnknownPlugin,
    /// What becomes of an item with a field that is not known. Default `reject`.
    pub unknown_fields: UnknownFields,
    /// Peers whose `X-Forwarded-*` are believed (security.md HOP-03). Default none.
    pub trusted_proxies: Vec<IpOrCidr>,
    /// Limits and time-outs.
    pub limits: Limits,
    /// How the process ends.
    pub drain: DrainSettings,
    /// How the names of nodes are looked up.
    pub dns: DnsSettings,
    /// Static attributes of plugins, by plugin; each judges its own. Default none.
    #[serde(skip_serializing_if = "PluginMap::is_empty")]
    pub plugin_attr: PluginMap,
    /// Zones that caches keep answers in, beside `disk_cache_one` and `memory_cache`, which are there unasked; one of these
    /// names replaces that zone. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_zones: Vec<CacheZoneSpec>,
    /// What a file with faults does to the first start. Default `refuse`.
    pub start_policy: StartPolicy,
    /// Whether a YAML file without a last line `#END` counts as incomplete. Default `false`.
    pub require_end_marker: bool,
    /// The store that the configuration is in. Unset: it is in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreSettings>,
    /// The Admin API, which needs a store. Unset: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<AdminSettings>,
    /// The authority that certificates of `ssls` with `acme: true` come from. Unset: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeSettings>,
    /// Whether the authorities of certificates are asked about them, and what they say is stapled to handshakes. Default
    /// `false`: a gateway asks nobody whom its configuration does not name.
    pub ocsp_stapling: bool,
    /// Where the control API listens: an address of the loopback, or `unix:/path`. Unset: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// Where `/status` and `/status/ready` are answered, for probes. Unset: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub status: Option<SocketAddr>,
    /// Keys of 16 or 32 bytes, or secret references: the first encrypts private keys and plugins' secrets in stores and in
    /// local copies, all decrypt. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keyring: Vec<Sensitive>,
    /// In which form the keyring encrypts; both are decrypted. Default `own`.
    pub keyring_format: KeyringFormat,
    /// What this process does. Default `traditional`.
    pub role: Role,
    /// Whether `checks` of upstreams are left alone: nothing is probed, and nobody taken out (upstream.md §7.5). Default
    /// `false`.
    pub disable_upstream_healthcheck: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listeners: vec![ListenerSpec {
                protocols: vec![Protocol::H1, Protocol::H2c],
                ..ListenerSpec::new(SocketAddr::from(([127, 0, 0, 1], 9080)))
            }],
            workers: None,
            router: RouterSettings::default(),
            errors: ErrorBodies::default(),
            unknown_plugin: UnknownPlugin::default(),
            unknown_fields: UnknownFields::default(),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            drain: DrainSettings::default(),
            dns: DnsSettings::default(),
            plugin_attr: PluginMap::new(),
            cache_zones: Vec::new(),
            start_policy: StartPolicy::default(),
            require_end_marker: false,
            store: None,
            admin: None,
            acme: None,
            ocsp_stapling: false,
            control: None,
            status: None,
            keyring: Vec::new(),
            keyring_format: KeyringFormat::default(),
            role: Role::default(),
            disable_upstream_healthcheck: false,
        }
    }
}

/// How routes are matched (router.md §2, §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RouterSettings {
    /// Whether the host decides before the path. Default `true`.
    pub host_first: bool,
    /// Whether `:name` in a pattern is a parameter. Default `true`.
    pub parameters: bool,
    /// Which path is matched and forwarded. Default `strict`.
    pub path_mode: PathMode,
    /// What an encoded slash in a path means. Default `reject`.
    pub encoded_slash: EncodedSlash,
    /// Whether a route that matches but for the method answers 405 rather than 404. Default `false`.
    pub method_not_allowed: bool,
    /// Whether one trailing slash is dropped before matching. Default `false`.
    pub delete_uri_tail_slash: bool,
    /// Whether `;parameters` of segments are cut before matching. Default `false`.
    pub normalize_uri_like_servlet: bool,
    /// Whether an encoded slash stays `%2F` for matching; for `path_mode: compatible`. Default `false`.
    pub match_uri_encoded_slash: bool,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            host_first: true,
            parameters: true,
            path_mode: PathMode::default(),
            encoded_slash: EncodedSlash::default(),
            method_not_allowed: false,
            delete_uri_tail_slash: false,
            normalize_uri_like_servlet: false,
            match_uri_encoded_slash: false,
        }
    }
}

/// Which path is matched and forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PathMode {
    /// The one canonical path of security.md §3, for both.
    #[default]
    Strict,
    /// As the reference: the decoded path is matched, the original target forwarded (router.md §2).
    Compatible,
}

/// What an encoded slash (`%2F`) in a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EncodedSlash {
    /// 400.
    #[default]
    Reject,
    /// It stays `%2F`, no separator.
    Keep,
}

/// Bodies of the gateway's own error answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ErrorBodies {
    /// As the catalogue of plugins and errors says, mostly `{"error_msg": …}`.
    #[default]
    Catalogue,
    /// `application/problem+json` (RFC 9457).
    Problem,
}

/// What becomes of an item that names a plugin which does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UnknownPlugin {
    /// It is refused.
    #[default]
    Reject,
    /// It is taken without that plugin, with a warning.
    Ignore,
}

/// What becomes of an item with a field that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UnknownFields {
    /// It is refused.
    #[default]
    Reject,
    /// It is taken without that field, with a warning.
    Warn,
}

/// In which form secrets are encrypted at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyringFormat {
    /// Authenticated, and bound to the place where the secret stands.
    #[default]
    Own,
    /// As Apache APISIX does, for as long as its gateways read the same store; it does not notice changes of what it
    /// decrypts.
    Apisix,
}

/// What a start does when its configuration has faults, or its store cannot be reached (security.md CFG-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StartPolicy {
    /// No start: all faults are named, exit code 2.
    #[default]
    Refuse,
    /// Start with the valid items.
    ServeValid,
    /// Start with nothing, and not ready, until the file is faultless.
    ServeEmpty,
    /// Of a store: no listener is opened before its configuration is there.
    Wait,
    /// Of a store that cannot be reached: start with the last good configuration that was kept. What a store does under
    /// `refuse`, too, as far as there is such a copy.
    ServeStale,
}

pub(crate) const ENCODED_SLASH: Shape = Shape::Word(&["reject", "keep"]);

pub(crate) const SOCKET: Rule = Rule {
    holds: |text| text.parse::<SocketAddr>().is_ok(),
    expects: "an address and a port, such as 127.0.0.1:9080 or [::1]:9080",
};

const CONTROL: Rule = Rule {
    holds: |text| match text.strip_prefix("unix:") {
        Some(path) => path.starts_with('/'),
        None => text.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback()),
    },
    expects: "an address of the loopback with a port, such as 127.0.0.1:9090, or `unix:/path/of/a/socket`",
};

const KEY_LENGTH: Rule = Rule {
    holds: |text| text.len() == 16 || text.len() == 32,
    expects: "a key of 16 or 32 bytes, or a secret reference",
};

const ROUTER: Struct = Struct::new(&[
    Field::new("host_first", Shape::Bool),
    Field::new("parameters", Shape::Bool),
    Field::new("path_mode", Shape::Word(&["strict", "compatible"])),
    Field::new("encoded_slash", ENCODED_SLASH),
    Field::new("method_not_allowed", Shape::Bool),
    Field::new("delete_uri_tail_slash", Shape::Bool),
    Field::new("normalize_uri_like_servlet", Shape::Bool),
    Field::new("match_uri_encoded_slash", Shape::Bool),
])
.with_rule(slash_switches);

pub(crate) static SETTINGS: Shape = Shape::Struct(&TABLE);

static TABLE: Struct = Struct::new(&[
    Field::new("listeners", LISTENERS),
    Field::new("workers", Shape::Int(1, 1024)),
    Field::new("router", Shape::Struct(&ROUTER)),
    Field::new("errors", Shape::Word(&["catalogue", "problem"])),
    Field::new("unknown_plugin", Shape::Word(&["reject", "ignore"])),
    Field::new("unknown_fields", Shape::Word(&["reject", "warn"])),
    Field::new("trusted_proxies", Shape::List(&List { of: Shape::Address, min: 0, max: usize::MAX, unique: true })),
    Field::new("limits", LIMITS),
    Field::new("drain", DRAIN),
    Field::new("dns", DNS),
    Field::new("plugin_attr", PLUGINS),
    Field::new("cache_zones", CACHE_ZONES),
    Field::new("start_policy", Shape::Word(&["refuse", "serve_valid", "serve_empty", "wait", "serve_stale"])),
    Field::new("require_end_marker", Shape::Bool),
    Field::new("store", STORE),
    Field::new("admin", ADMIN),
    Field::new("acme", ACME),
    Field::new("ocsp_stapling", Shape::Bool),
    Field::new("control", Shape::Text(Text { min: 1, max: 4096, rule: Some(&CONTROL) })),
    Field::new("status", Shape::Text(Text { min: 1, max: 64, rule: Some(&SOCKET) })),
    Field::new(
        "keyring",
        Shape::List(&List {
            of: Shape::Text(Text { min: 16, max: 32, rule: Some(&KEY_LENGTH) }),
            min: 0,
            max: 64,
            unique: true,
        }),
    ),
    Field::new("keyring_format", Shape::Word(&["own", "apisix"])),
    Field::new("role", ROLE),
    Field::new("disable_upstream_healthcheck", Shape::Bool),
])
.with_rule(nothing_twice);

fn nothing_twice<'v>(settings: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    one_listener_an_address(settings, walk);
    apart(settings, walk);
}

fn one_listener_an_address<'v>(settings: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let listeners = settings.get("listeners").and_then(Value::as_array);
    let addresses = listeners.into_iter().flatten().filter_map(|listener| listener.get("address")?.as_str());
    let mut seen = HashSet::new();
    for address in addresses.filter_map(|address| address.parse::<ListenAddress>().ok()) {
        // Port 0 takes another one each time.
        let is_one = !matches!(address, ListenAddress::Tcp(address) if address.port() == 0);
        if is_one && seen.contains(&address) {
            walk.under("listeners", |walk| {
                walk.error(format!("has {address} twice"), "leave one of them out, with all `protocols` in the other");
            });
        }
        seen.insert(address);
    }
}

fn slash_switches<'v>(router: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let compatible = router.get("path_mode").and_then(Value::as_str) == Some("compatible");
    if !compatible && router.get("match_uri_encoded_slash") == Some(&Value::Bool(true)) {
        walk.under("match_uri_encoded_slash", |walk| {
            walk.error(
                "works with path_mode compatible only",
                "write `encoded_slash: keep` instead, or `path_mode: compatible`",
            );
        });
    }
}
