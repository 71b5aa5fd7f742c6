//! Resources as plain data: what an operator writes, in code or in a file. No async, no tower.
//!
//! A [`Snapshot`] is one whole configuration: lists of routes, services, upstreams and so on, and the [`Settings`] of
//! the gateway. [`read`] makes one of a declarative document, [`check`] judges one that was built in code. Both name
//! every fault as a [`Finding`] with kind, id, field and mend. The wire form is the one of Apache APISIX's
//! declarative file; fields that it does not have are marked **Extension**.
//!
//! What needs more than the data itself (plugins, `vars`, path patterns, certificates) is judged by the gateway when
//! it compiles a snapshot.
mod acme;
mod admin;
mod balancing;
mod cache;
mod check;
mod compat;
mod consumer;
mod dns;
mod drain;
mod finding;
mod health;
mod id;
mod limits;
mod listener;
mod node;
mod places;
mod plugin;
mod proto;
mod read;
mod read_item;
mod resilience;
mod route;
mod scalar;
#[cfg(feature = "schema")]
mod schema;
mod secret;
mod service;
mod settings;
mod snapshot;
mod ssl;
mod store;
#[cfg(feature = "admin")]
mod stored;
mod stream;
mod timeouts;
mod upstream;

pub use acme::{AcmeBinding, AcmeChallenge, AcmeKeyType, AcmeSettings};
pub use admin::{AdminKey, AdminRole, AdminSettings, Role};
pub use balancing::{Affinity, SameSite, SlowStart};
pub use cache::{ByteSize, CacheZoneSpec, NotASize};
pub(crate) use cache::{faulty_zones, leave_out, stand_in};
pub(crate) use check::hint::closest;
pub(crate) use check::shape::is_reference;
pub(crate) use check::{Described, GlobalPlugins, duplicate};
pub use check::{check, check_item};
pub use compat::{CompatNote, compat};
pub use consumer::{ConsumerGroupSpec, ConsumerSpec, CredentialSpec};
pub use dns::{DnsAddresses, DnsSettings};
pub use drain::DrainSettings;
pub use finding::{Finding, Severity};
pub use health::{
    ActiveCheck, ActiveHealthy, ActiveUnhealthy, CheckType, HealthChecks, OutlierCheck, PassiveCheck, PassiveHealthy,
    PassiveUnhealthy,
};
pub use id::{Id, Kind, Resource};
pub use limits::Limits;
#[cfg(feature = "server")]
pub(crate) use listener::mode;
pub use listener::{ListenAddress, ListenerSpec, ListenerTls, NoListenAddress, Protocol, ProxyProtocolSpec};
pub use node::NodeSpec;
pub use places::Places;
pub use plugin::{EnabledPlugin, GlobalRuleSpec, PluginConfigSpec, PluginMap, PluginMetadataSpec};
pub use proto::ProtoSpec;
#[cfg(any(feature = "config-file", feature = "admin"))]
pub(crate) use read::by_id;
#[cfg(feature = "admin")]
pub(crate) use read::by_id_of;
pub use read::{Read, ReadOptions, read};
pub use read_item::read_item;
pub use resilience::{AdaptiveConcurrency, Hedge, RetryCondition, RetryOn};
pub use route::RouteSpec;
pub use scalar::{Host, IpOrCidr, Labels, Method, NotAnAddress, Seconds, Sensitive, Status};
#[cfg(feature = "schema")]
pub use schema::schema;
pub use secret::{
    AwsSecrets, EnvSecrets, FileSecrets, GcpAccount, GcpSecrets, SecretManager, SecretSpec, VaultSecrets,
};
pub use service::ServiceSpec;
pub use settings::{
    EncodedSlash, ErrorBodies, KeyringFormat, PathMode, RouterSettings, Settings, StartPolicy, UnknownFields,
    UnknownPlugin,
};
pub(crate) use snapshot::Fold;
pub use snapshot::{Blocked, Items, MatchPart, Rejected, Snapshot};
pub use ssl::{ClientCertificates, OcspStapling, SslSpec, SslType, TlsVersion};
pub use store::{EtcdSettings, EtcdTls, HistorySettings, StoreKind, StoreSettings};
#[cfg(feature = "admin")]
pub(crate) use stored::stored;
pub use stream::{StreamLogger, StreamProtocol, StreamRouteSpec};
pub use timeouts::Timeouts;
pub use upstream::{
    HashOn, HttpVersion, KeepalivePool, PassHost, RetryBackoff, RetryBudget, Scheme, UpstreamSpec, UpstreamTls,
};
