//! [`ListenerSpec`]: an address of our own and what is spoken there, in the settings' `listeners`.
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::check::shape::{ADDRESSES, Either, Field, HOST, List, Rule, Shape, Struct, Text};
use super::check::walk::Walk;
use super::{Host, IpOrCidr, TlsVersion};

/// An address of our own, and what becomes of connections that come in there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListenerSpec {
    /// Where: see [`ListenAddress`]. Required.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub address: ListenAddress,
    /// What is spoken there. Default `[h1]`, with `tls` `[h1, h2]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<Protocol>,
    /// TLS with the certificates of `ssls`: `true`, or an object. Default: clear text.
    #[serde(default, with = "switch", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Switch<ListenerTls>>"))]
    pub tls: Option<ListenerTls>,
    /// Connections begin with a PROXY header, version 1 or 2: `true`, or an object. Default: they do not.
    #[serde(default, with = "switch", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Switch<ProxyProtocolSpec>>"))]
    pub proxy_protocol: Option<ProxyProtocolSpec>,
    /// Connections that the system keeps until they are accepted, 1–65535. Default 4096.
    #[serde(default = "backlog")]
    pub backlog: u16,
    /// Whether other processes of the same user may listen there as well (`SO_REUSEPORT`, security.md DRN-03). Default `false`.
    #[serde(default)]
    pub reuse_port: bool,
    /// Whether a socket of IPv6 takes no connections of IPv4. Default: as the system has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_only: Option<bool>,
    /// Mode of a Unix socket at a path, in octal digits. Default `0600`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Connections at once, 1 or more, beside `limits.max_connections`. Default: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u64>,
    /// Whether connections end in good order when the listener is removed. Default `false`: they go on.
    #[serde(default)]
    pub drain_when_removed: bool,
}

fn backlog() -> u16 {
    4096
}

impl ListenerSpec {
    /// HTTP/1 in clear text at an address.
    pub fn new(address: impl Into<ListenAddress>) -> Self {
        Self {
            address: address.into(),
            protocols: vec![Protocol::H1],
            tls: None,
            proxy_protocol: None,
            backlog: backlog(),
            reuse_port: false,
            ipv6_only: None,
            mode: None,
            max_connections: None,
            drain_when_removed: false,
        }
    }

    /// Whether HTTP/1 and HTTP/2 are spoken, of which at least one is.
    pub fn speaks(&self) -> (bool, bool) {
        let any = |wanted: &[Protocol]| self.protocols.iter().any(|protocol| wanted.contains(protocol));
        match (any(&[Protocol::H1]), any(&[Protocol::H2, Protocol::H2c])) {
            (false, false) => (true, self.tls.is_some()),
            spoken => spoken,
        }
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.
    H1,
    /// HTTP/2 over TLS, by ALPN.
    H2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

/// TLS of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ListenerTls {
    /// The server name that is taken for the one that a client does not tell. Default: such a handshake fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_sni: Option<Host>,
    /// Versions of TLS, `TLSv1.2` and `TLSv1.3`. Default: both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssl_protocols: Vec<TlsVersion>,
}

/// Whose PROXY headers are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ProxyProtocolSpec {
    /// Peers whose headers are believed. Default: this machine alone, `127.0.0.0/8` and `::1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<IpOrCidr>,
    /// Whether connections without a header are served, too, as whose they are. Default `false`: they are closed.
    pub optional: bool,
    /// Until the header has come, in milliseconds, 1 to a minute. Default 5000.
    pub timeout_ms: u64,
}

impl Default for ProxyProtocolSpec {
    fn default() -> Self {
        Self { from: Vec::new(), optional: false, timeout_ms: 5000 }
    }
}

/// `true` or `false`, or options.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Switch<T> {
    Is(bool),
    With(T),
}

/// Options that `true` sets to their defaults.
mod switch {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Switch;

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: Deserialize<'de> + Default,
        D: Deserializer<'de>,
    {
        Ok(match Switch::deserialize(deserializer)? {
            Switch::Is(is) => is.then(T::default),
            Switch::With(options) => Some(options),
        })
    }
}

/// Where a listener is. As text, which is how it is written in documents:
///
/// | text | meaning |
/// |---|---|
/// | `127.0.0.1:9080`, `[::1]:9080` | an address of this machine and a port; port 0 takes a free one |
/// | `0.0.0.0:80`, `[::]:80` | all addresses of this machine, of IPv4 or of both kinds |
/// | `unix:/run/tollgate/web.sock` | a Unix socket at an absolute path |
/// | `unix:@web` | a Unix socket by an abstract name (Linux), which is in no folder |
/// | `systemd:web` | a socket that the process was started with, or given by its host, under this name |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket in the file system.
    Unix(PathBuf),
    /// A Unix socket with an abstract name.
    Abstract(String),
    /// A socket that somebody else opened.
    Inherited(String),
}

/// Why a text is no [`ListenAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address to listen on: write {EXPECTED}")]
pub struct NoListenAddress(String);

const EXPECTED: &str = "an address and a port, such as 127.0.0.1:9080 or [::1]:9080, or `unix:/path/of/a/socket`, \
                        `unix:@name`, `systemd:name`";

/// Longest path or abstract name of a Unix socket, which the system gives 108 bytes with an end mark.
const UNIX_PATH: usize = 107;

impl FromStr for ListenAddress {
    type Err = NoListenAddress;

    fn from_str(text: &str) -> Result<Self, NoListenAddress> {
        let refused = || NoListenAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let fits = path.len() <= UNIX_PATH && !path.contains('\0');
            return match path.strip_prefix('@') {
                Some(name) if fits && !name.is_empty() => Ok(Self::Abstract(name.to_owned())),
                None if fits && path.starts_with('/') && !path.ends_with('/') => Ok(Self::Unix(path.into())),
                _ => Err(refused()),
            };
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            // As systemd.socket(5) has names of descriptors.
            let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            return if fits { Ok(Self::Inherited(name.to_owned())) } else { Err(refused()) };
        }
        text.parse().map(Self::Tcp).map_err(|_| refused())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Inherited(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const ADDRESS: Rule = Rule { holds: |text| text.parse::<ListenAddress>().is_ok(), expects: EXPECTED };

const MODE: Rule = Rule { holds: |text| mode(text).is_some(), expects: "three or four octal digits, such as \"0660\"" };

/// The bits of a mode in octal digits.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('0').filter(|digits| digits.len() == 3).unwrap_or(text);
    let is_octal = digits.len() == 3 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    is_octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
}

const TLS: Struct = Struct::new(&[
    Field::new("fallback_sni", HOST),
    Field::new(
        "ssl_protocols",
        Shape::List(&List { of: Shape::Word(&["TLSv1.2", "TLSv1.3"]), min: 1, max: 2, unique: true }),
    ),
]);

const PROXY_PROTOCOL: Struct = Struct::new(&[
    Field::new("from", ADDRESSES),
    Field::new("optional", Shape::Bool),
    Field::new("timeout_ms", Shape::Int(1, 60_000)),
]);

const LISTENER: Struct = Struct::new(&[
    Field::required("address", Shape::Text(Text { min: 1, max: 128, rule: Some(&ADDRESS) })),
    Field::new(
        "protocols",
        Shape::List(&List { of: Shape::Word(&["h1", "h2", "h2c"]), min: 1, max: usize::MAX, unique: true }),
    ),
    Field::new("tls", Shape::Either(&Either { forms: &[Shape::Bool, Shape::Struct(&TLS)], judge: judge_tls })),
    Field::new(
        "proxy_protocol",
        Shape::Either(&Either { forms: &[Shape::Bool, Shape::Struct(&PROXY_PROTOCOL)], judge: judge_proxy_protocol }),
    ),
    Field::new("backlog", Shape::Int(1, 65_535)),
    Field::new("reuse_port", Shape::Bool),
    Field::new("ipv6_only", Shape::Bool),
    Field::new("mode", Shape::Text(Text { min: 3, max: 4, rule: Some(&MODE) })),
    Field::new("max_connections", Shape::Int(1, u32::MAX as i64)),
    Field::new("drain_when_removed", Shape::Bool),
])
.with_rule(ties);

fn judge_tls<'v>(value: &'v Value, walk: &mut Walk<'_, 'v>) {
    walk.value(value, if value.is_object() { &Shape::Struct(&TLS) } else { &Shape::Bool });
}

fn judge_proxy_protocol<'v>(value: &'v Value, walk: &mut Walk<'_, 'v>) {
    walk.value(value, if value.is_object() { &Shape::Struct(&PROXY_PROTOCOL) } else { &Shape::Bool });
}

/// What goes together: TLS and its protocols, an address and the options that it has.
fn ties<'v>(listener: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let is_on = |name: &str| listener.get(name).is_some_and(|value| *value != Value::Bool(false));
    let protocols = listener.get("protocols").and_then(Value::as_array);
    let speaks = |word: &str| protocols.into_iter().flatten().any(|protocol| protocol == word);
    let tls = is_on("tls");
    if tls && speaks("h2c") {
        walk.error("has h2c, which is HTTP/2 without TLS", "write `h2` instead");
    }
    if !tls && speaks("h2") {
        walk.error("has h2, which is HTTP/2 over TLS", "add `tls: true`, or write `h2c` for HTTP/2 without TLS");
    }
    if tls && !cfg!(feature = "tls") {
        walk.error("has tls, which is not built in", "build with the feature `tls`, or remove `tls`");
    }
    let Some(address) = listener.get("address").and_then(Value::as_str).and_then(|text| text.parse().ok()) else {
        return;
    };
    let is_path = matches!(address, ListenAddress::Unix(_));
    if is_on("mode") && !is_path {
        walk.error("has a mode and is no Unix socket at a path", "remove `mode`");
    }
    let is_v6 = matches!(address, ListenAddress::Tcp(address) if address.is_ipv6());
    if listener.contains_key("ipv6_only") && !is_v6 {
        walk.error("has ipv6_only and no address of IPv6", "remove `ipv6_only`, or listen on `[::]`");
    }
    let is_tcp = matches!(address, ListenAddress::Tcp(_));
    if is_on("reuse_port") && !is_tcp {
        walk.error("has reuse_port and no address of TCP", "remove `reuse_port`");
    }
    let proxy = listener.get("proxy_protocol").and_then(Value::as_object);
    let is_optional = proxy.and_then(|proxy| proxy.get("optional")) == Some(&Value::Bool(true));
    let is_unix = matches!(address, ListenAddress::Unix(_) | ListenAddress::Abstract(_));
    if is_optional && is_unix {
        walk.error("has an optional PROXY header on a Unix socket", "remove `optional`: a header is always due there");
    }
    let beyond = matches!(address, ListenAddress::Tcp(address) if !address.ip().to_canonical().is_loopback());
    if is_on("proxy_protocol") && beyond && proxy.is_none_or(|proxy| !proxy.contains_key("from")) {
        walk.warn(
            "takes PROXY headers of this machine alone, and listens on more than its loopback",
            "name the balancers in `proxy_protocol.from`",
        );
    }
    let everybody = |network: &Value| network.as_str().is_some_and(|text| text.ends_with("/0"));
    let from = proxy.and_then(|proxy| proxy.get("from")).and_then(Value::as_array);
    if from.into_iter().flatten().any(everybody) {
        walk.warn(
            "believes PROXY headers of everybody: whoever reaches it can claim any address",
            "name the balancers alone in `proxy_protocol.from`",
        );
    }
    if speaks("h2c") && beyond {
        walk.warn(
            "speaks HTTP/2 in clear text on more than the loopback",
            "use `tls` with `h2`, or let none but known proxies reach it",
        );
    }
}

pub(crate) const LISTENERS: Shape =
    Shape::List(&List { of: Shape::Struct(&LISTENER), min: 0, max: 1024, unique: false });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for good in [
            "127.0.0.1:9080",
            "[::1]:0",
            "[::]:80",
            "unix:/run/web.sock",
            "unix:@web",
            "systemd:web",
            "systemd:web.socket",
        ] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().to_string(), good);
        }
        let long = format!("unix:/{}", "x".repeat(107));
        for bad in [
            "",
            "localhost:80",
            "127.0.0.1",
            ":80",
            "unix:",
            "unix:web.sock",
            "unix:@",
            "unix:/run/",
            "systemd:",
            "systemd:a b",
            "systemd:a:b",
            "127.0.0.1:70000",
            &long,
        ] {
            let error = bad.parse::<ListenAddress>().unwrap_err();
            assert!(error.to_string().contains("such as 127.0.0.1:9080"), "{bad}: {error}");
        }
    }
}
