//! [`SecretSpec`]: where secret references are looked up.
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::check::Described;
use super::check::shape::{CREATED, Field, List, Rule, Shape, Struct, Text, UPDATED, is_id, text};
use super::check::walk::Walk;
use super::{Id, Kind, Resource, Sensitive};

/// A secret manager, which `$secret://<manager>/<id>/<key>` refers to (model.md §6, §9).
///
/// `env` and `file` are at work; references to the others fail closed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretSpec {
    /// `<manager>/<id>`, with the manager `env`, `file`, `vault`, `aws` or `gcp`. Required.
    pub id: Id,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
    /// The manager's own fields.
    #[serde(flatten)]
    pub manager: SecretManager,
}

/// The fields of each kind of manager.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum SecretManager {
    /// Variables of the environment.
    Env(EnvSecrets),
    /// Files of one folder, as Kubernetes mounts a secret.
    File(FileSecrets),
    /// HashiCorp Vault, key/value version 1.
    Vault(VaultSecrets),
    /// AWS Secrets Manager.
    Aws(AwsSecrets),
    /// Google Secret Manager.
    Gcp(GcpSecrets),
}

/// The environment: `$secret://env/<id>/NAME` is the variable `<prefix>NAME`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnvSecrets {
    /// What the names of the variables begin with. Default nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// A folder: `$secret://file/<id>/NAME` is the content of the file `NAME` in it, without a line break at its end.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileSecrets {
    /// The folder. Required.
    pub path: String,
}

/// Vault: read at `<uri>/v1/<prefix>/<path>`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VaultSecrets {
    /// Address of the server. Required.
    pub uri: String,
    /// Path before the keys. Required.
    pub prefix: String,
    /// Token, or `$ENV://` and the name of the variable that has it. Required.
    pub token: Sensitive,
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// AWS Secrets Manager.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AwsSecrets {
    /// Access key. Required.
    pub access_key_id: Sensitive,
    /// Secret key. Required.
    pub secret_access_key: Sensitive,
    /// Session token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Sensitive>,
    /// Region. Default `us-east-1`.
    #[serde(default = "us_east")]
    pub region: String,
    /// Address of the service, if it is not the region's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
}

/// Google Secret Manager. Exactly one of `auth_config` and `auth_file`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GcpSecrets {
    /// A service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_config: Option<GcpAccount>,
    /// A file that holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_file: Option<String>,
    /// Whether the service's certificate is verified. Default `true`.
    #[serde(default = "yes")]
    pub ssl_verify: bool,
}

/// A service account of Google.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GcpAccount {
    /// The account. Required.
    pub client_email: String,
    /// Its private key. Required.
    pub private_key: Sensitive,
    /// The project. Required.
    pub project_id: String,
    /// Where tokens come from, if not from Google.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_uri: Option<String>,
    /// Scopes of a token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Where secrets are read, if not at Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries_uri: Option<String>,
}

fn us_east() -> String {
    "us-east-1".to_owned()
}

const fn yes() -> bool {
    true
}

impl<'de> Deserialize<'de> for SecretSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Head {
            id: Id,
            create_time: Option<u64>,
            update_time: Option<u64>,
            #[serde(flatten)]
            rest: Map<String, Value>,
        }
        let Head { id, create_time, update_time, rest } = Head::deserialize(deserializer)?;
        let rest = Value::Object(rest);
        let manager = match id.as_str().split_once('/') {
            Some(("env", _)) => EnvSecrets::deserialize(rest).map(SecretManager::Env),
            Some(("file", _)) => FileSecrets::deserialize(rest).map(SecretManager::File),
            Some(("vault", _)) => VaultSecrets::deserialize(rest).map(SecretManager::Vault),
            Some(("aws", _)) => AwsSecrets::deserialize(rest).map(SecretManager::Aws),
            Some(("gcp", _)) => GcpSecrets::deserialize(rest).map(SecretManager::Gcp),
            _ => return Err(D::Error::custom(format_args!("id: write {}", SECRET_ID.expects))),
        };
        Ok(Self { id, create_time, update_time, manager: manager.map_err(D::Error::custom)? })
    }
}

const SECRET_ID: Rule = Rule {
    holds: |text| {
        text.split_once('/')
            .is_some_and(|(manager, id)| ["env", "file", "vault", "aws", "gcp"].contains(&manager) && is_id(id))
    },
    expects: "`env/<id>`, `file/<id>`, `vault/<id>`, `aws/<id>` or `gcp/<id>`",
};

const URI: Shape = text(4096);

const ENV: Struct = Struct::new(&[Field::new("prefix", Shape::Text(Text { min: 0, max: 4096, rule: None }))]);

const FILE: Struct = Struct::new(&[Field::required("path", text(4096))]);

const VAULT: Struct = Struct::new(&[
    Field::required("uri", URI),
    Field::required("prefix", text(4096)),
    Field::required("token", text(4096)),
    Field::new("namespace", text(4096)),
]);

const AWS: Struct = Struct::new(&[
    Field::required("access_key_id", text(4096)),
    Field::required("secret_access_key", text(4096)),
    Field::new("session_token", text(65_536)),
    Field::new("region", text(256)),
    Field::new("endpoint_url", URI),
]);

const GCP: Struct = Struct::new(&[
    Field::new(
        "auth_config",
        Shape::Struct(&Struct::new(&[
            Field::required("client_email", text(4096)),
            Field::required("private_key", text(65_536)),
            Field::required("project_id", text(4096)),
            Field::new("token_uri", URI),
            Field::new("scope", Shape::List(&List { of: text(4096), min: 0, max: usize::MAX, unique: true })),
            Field::new("entries_uri", URI),
        ])),
    ),
    Field::new("auth_file", text(4096)),
    Field::new("ssl_verify", Shape::Bool),
])
.with_rule(one_account);

fn one_account<'v>(gcp: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    if gcp.contains_key("auth_config") == gcp.contains_key("auth_file") {
        walk.error("needs one account", "write either `auth_config` or `auth_file`");
    }
}

impl Resource for SecretSpec {
    const KIND: Kind = Kind::Secret;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for SecretSpec {
    const SHAPE: &'static Struct = &Struct::new(&[
        Field::required("id", Shape::Text(Text { min: 1, max: 128, rule: Some(&SECRET_ID) })),
        CREATED,
        UPDATED,
    ])
    .one_of(&[("env/", &ENV), ("file/", &FILE), ("vault/", &VAULT), ("aws/", &AWS), ("gcp/", &GCP)]);

    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}
