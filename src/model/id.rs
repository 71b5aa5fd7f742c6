//! Names of resources: [`Id`], [`Kind`], and [`Resource`], which ties both to a type.
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Identifier of a resource: 1–64 characters of `a-z A-Z 0-9 - _ .` (model.md §1).
///
/// On the wire a string or an integer ≥ 1; compared and indexed as its string, so that `1` and `"1"` are one id.
/// A credential's is `<consumer>/credentials/<id>`, a secret manager's `<manager>/<id>`, a plugin metadata's the
/// plugin's name. The type takes any text; [`check`](crate::model::check) says whether a resource may have it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Id(Arc<str>);

impl Id {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text, to keep without copying.
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Whether there is none: such a resource is refused unless a reader gives it one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Arc<str>> for Id {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Id {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Id {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Id {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an integer of at least 1")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id::from(text))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id::from(number))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// [`RouteSpec`](crate::model::RouteSpec).
    Route,
    /// [`ServiceSpec`](crate::model::ServiceSpec).
    Service,
    /// [`UpstreamSpec`](crate::model::UpstreamSpec).
    Upstream,
    /// [`ConsumerSpec`](crate::model::ConsumerSpec).
    Consumer,
    /// [`CredentialSpec`](crate::model::CredentialSpec); stands among the consumers of a document.
    Credential,
    /// [`ConsumerGroupSpec`](crate::model::ConsumerGroupSpec).
    ConsumerGroup,
    /// [`PluginConfigSpec`](crate::model::PluginConfigSpec).
    PluginConfig,
    /// [`GlobalRuleSpec`](crate::model::GlobalRuleSpec).
    GlobalRule,
    /// [`PluginMetadataSpec`](crate::model::PluginMetadataSpec).
    PluginMetadata,
    /// One line of the list of enabled plugins, [`EnabledPlugin`](crate::model::EnabledPlugin).
    Plugin,
    /// [`SecretSpec`](crate::model::SecretSpec).
    Secret,
    /// [`SslSpec`](crate::model::SslSpec).
    Ssl,
    /// [`ProtoSpec`](crate::model::ProtoSpec).
    Proto,
    /// [`StreamRouteSpec`](crate::model::StreamRouteSpec).
    StreamRoute,
    /// [`Settings`](crate::model::Settings), the root key `tollgate`.
    Settings,
    /// The document as a whole: an error here means that nothing of it may be used.
    Document,
}

impl Kind {
    /// The kinds that a document has a list of, under [`Kind::root_key`]; credentials stand in that of consumers.
    pub const LISTS: [Self; 13] = [
        Self::Route,
        Self::Service,
        Self::Upstream,
        Self::Consumer,
        Self::ConsumerGroup,
        Self::PluginConfig,
        Self::GlobalRule,
        Self::PluginMetadata,
        Self::Plugin,
        Self::Proto,
        Self::Secret,
        Self::Ssl,
        Self::StreamRoute,
    ];

    /// The root key that holds such items in a document, `routes` for routes.
    pub const fn root_key(self) -> &'static str {
        match self {
            Self::Route => "routes",
            Self::Service => "services",
            Self::Upstream => "upstreams",
            Self::Consumer | Self::Credential => "consumers",
            Self::ConsumerGroup => "consumer_groups",
            Self::PluginConfig => "plugin_configs",
            Self::GlobalRule => "global_rules",
            Self::PluginMetadata => "plugin_metadata",
            Self::Plugin => "plugins",
            Self::Secret => "secrets",
            Self::Ssl => "ssls",
            Self::Proto => "protos",
            Self::StreamRoute => "stream_routes",
            Self::Settings => "tollgate",
            Self::Document => "",
        }
    }

    /// The singular in words, for messages: `route`, `consumer group`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Service => "service",
            Self::Upstream => "upstream",
            Self::Consumer => "consumer",
            Self::Credential => "credential",
            Self::ConsumerGroup => "consumer group",
            Self::PluginConfig => "plugin config",
            Self::GlobalRule => "global rule",
            Self::PluginMetadata => "plugin metadata",
            Self::Plugin => "enabled plugin",
            Self::Secret => "secret",
            Self::Ssl => "ssl",
            Self::Proto => "proto",
            Self::StreamRoute => "stream route",
            Self::Settings => "settings",
            Self::Document => "document",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A type of resource.
pub trait Resource: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// What it is.
    const KIND: Kind;

    /// Its identifier, unique among resources of its kind.
    fn id(&self) -> &Id;
}
