//! [`SslSpec`]: certificates.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::Described;
use super::check::shape::{
    CREATED, DESC, Field, HOST, HOSTS, ID, LABELS, List, Rule, Shape, Struct, Text, UPDATED, text,
};
use super::check::walk::Walk;
use super::{Host, Id, Kind, Labels, MatchPart, Resource, Sensitive, Status};

/// A certificate with its key, for clients by SNI or towards upstreams (model.md §6).
///
/// `type: server` needs `cert`, `key` and `sni` or `snis`, or `acme` in the place of the first two; `type: client` needs
/// `cert` and `key`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SslSpec {
    /// Its id.
    pub id: Id,
    /// A description, up to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Free labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What it is for. Default `server`.
    #[serde(rename = "type")]
    pub purpose: SslType,
    /// The certificate chain: PEM, or a secret reference. Required without `acme`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert: String,
    /// Its private key: PEM, or a secret reference. Required without `acme`.
    #[serde(skip_serializing_if = "Sensitive::is_empty")]
    pub key: Sensitive,
    /// Further chains, for instance ECDSA beside RSA.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certs: Vec<String>,
    /// Their keys, as many as `certs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Sensitive>,
    /// Whether its certificate is issued by ACME (`tollgate.acme`) for its names, which needs no `cert` and `key`.
    /// Extension; default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub acme: bool,
    /// One server name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<Host>,
    /// Several server names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snis: Vec<Host>,
    /// Demands certificates of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientCertificates>,
    /// Whether it is in use. Default 1.
    pub status: Status,
    /// Protocol versions that a handshake may have. Unset: as the listener has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssl_protocols: Vec<TlsVersion>,
    /// Whether and how handshakes show what its authority says of it (OCSP). Unset: as `tollgate.ocsp_stapling` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp_stapling: Option<OcspStapling>,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

impl SslSpec {
    /// Its server names, whichever field they stand in.
    pub fn names(&self) -> impl Iterator<Item = &Host> {
        self.sni.iter().chain(&self.snis)
    }

    /// Whether listeners show it.
    pub(crate) fn is_shown(&self) -> bool {
        self.purpose == SslType::Server && self.status == Status::Enabled
    }
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SslType {
    /// Shown to clients.
    #[default]
    Server,
    /// Shown to upstreams, by `tls.client_cert_id`.
    Client,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "each variant is the version that it is called after")]
pub enum TlsVersion {
    #[serde(rename = "TLSv1.1")]
    V1_1,
    #[serde(rename = "TLSv1.2")]
    V1_2,
    #[serde(rename = "TLSv1.3")]
    V1_3,
}

/// How certificates of clients are verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ClientCertificates {
    /// Certificates to verify against: PEM, or a secret reference. Required.
    pub ca: String,
    /// Length of a chain, 0 or more. Default 1.
    pub depth: u32,
    /// Paths, as regular expressions, that need no certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip_mtls_uri_regex: Vec<String>,
}

impl Default for ClientCertificates {
    fn default() -> Self {
        Self { ca: String::new(), depth: 1, skip_mtls_uri_regex: Vec::new() }
    }
}

/// How what an authority says of a certificate (OCSP) is stapled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OcspStapling {
    /// Whether it is. Default false.
    pub enabled: bool,
    /// Whether an answer is shown whoever signed it. Default false.
    pub skip_verify: bool,
    /// After how many seconds the next answer is asked for, 60 or more, if half of the last one's time is not over before.
    /// Default 3,600.
    pub cache_ttl: u32,
}

impl Default for OcspStapling {
    fn default() -> Self {
        Self { enabled: false, skip_verify: false, cache_ttl: 3600 }
    }
}

impl Resource for SslSpec {
    const KIND: Kind = Kind::Ssl;
    fn id(&self) -> &Id {
        &self.id
    }
}

const CERT: Shape = Shape::Text(Text { min: 128, max: 65_536, rule: Some(&Rule::PEM) });
const KEY: Shape = Shape::Text(Text { min: 64, max: 65_536, rule: Some(&Rule::PEM) });

impl Described for SslSpec {
    const SHAPE: &'static Struct = &Struct::new(&[
        ID,
        DESC,
        LABELS,
        Field::new("type", Shape::Word(&["server", "client"])),
        Field::new("cert", CERT),
        Field::new("key", KEY),
        Field::new("certs", Shape::List(&List { of: CERT, min: 1, max: usize::MAX, unique: false })),
        Field::new("keys", Shape::List(&List { of: KEY, min: 1, max: usize::MAX, unique: false })),
        Field::extension("acme", Shape::Bool),
        Field::new("sni", HOST),
        Field::new("snis", HOSTS),
        Field::new(
            "client",
            Shape::Struct(&Struct::new(&[
                Field::required("ca", CERT),
                Field::new("depth", Shape::Int(0, u32::MAX as i64)),
                Field::new(
                    "skip_mtls_uri_regex",
                    Shape::List(&List { of: text(4096), min: 1, max: usize::MAX, unique: true }),
                ),
            ])),
        ),
        Field::new("status", Shape::Int(0, 1)),
        Field::new(
            "ssl_protocols",
            Shape::List(&List { of: Shape::Word(&["TLSv1.1", "TLSv1.2", "TLSv1.3"]), min: 0, max: 3, unique: true }),
        ),
        Field::new(
            "ocsp_stapling",
            Shape::Struct(&Struct::new(&[
                Field::new("enabled", Shape::Bool),
                Field::new("skip_verify", Shape::Bool),
                Field::new("cache_ttl", Shape::Int(60, u32::MAX as i64)),
            ])),
        ),
        CREATED,
        UPDATED,
    ])
    .with_rule(structure);

    fn set_id(&mut self, id: Id) {
        self.id = id;
    }

    fn match_part(&self) -> Option<MatchPart> {
        let demands = self.client.is_some() && self.is_shown();
        demands.then(|| MatchPart { hosts: self.names().cloned().collect(), ..MatchPart::default() })
    }
}

fn structure<'v>(ssl: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let has = |name: &str| ssl.contains_key(name);
    if ssl.get("acme").and_then(Value::as_bool) == Some(true) {
        if ["cert", "key", "certs", "keys"].into_iter().any(has) {
            walk.error("has both acme and a certificate", "remove `acme`, or the certificate and its key");
        }
        if ssl.get("type").and_then(Value::as_str) == Some("client") {
            walk.error("is for upstreams, and acme is for listeners", "remove `acme`, and write `cert` and `key`");
        }
        let names = ["sni", "snis"].into_iter().filter_map(|name| ssl.get(name));
        let mut names = names.flat_map(|name| name.as_array().map_or(std::slice::from_ref(name), Vec::as_slice));
        if names.any(|name| name.as_str().is_some_and(|name| name.contains('*'))) {
            walk.error(
                "has a wildcard, for which authorities demand the challenge dns-01, which is not spoken",
                "write each name, or bring the certificate as `cert` and `key`",
            );
        }
    } else {
        for name in ["cert", "key"].into_iter().filter(|name| !has(name)) {
            walk.under(name, |walk| walk.error("is missing", "write it as PEM, or as a secret reference"));
        }
    }
    let count = |name: &str| ssl.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    if count("certs") != count("keys") {
        walk.error(
            format!("has {} certs and {} keys", count("certs"), count("keys")),
            "write one key for each certificate",
        );
    }
    match (has("sni"), has("snis")) {
        (true, true) => walk.error("has both sni and snis", "put all names into `snis`"),
        (false, false) if ssl.get("type").and_then(Value::as_str) != Some("client") => {
            walk.error("has no server name", "write `snis`, or `type: client` if it is for upstreams");
        }
        _ => {}
    }
}
