//! The traits of plugins.
use std::sync::Arc;

use http::HeaderName;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Authenticate, BuildContext, SchemaOf, Stage};
use crate::request::Credential;
use crate::{Next, PluginLayer};

/// A kind of plugin. It lives as long as the gateway: state that is to outlive a reload belongs in it, keyed by
/// [`BuildContext::scope`].
pub trait Plugin: Send + Sync + 'static {
    /// The name in configuration, `kebab-case`.
    const NAME: &'static str;
    /// The place in the chain.
    const STAGE: Stage;
    /// The order inside the stage: a higher number stands further out. `_meta.priority` overrides it for one binding.
    const PRIORITY: i32;
    /// Whether a global rule's block gives way where the route has one of its own, instead of both running.
    const YIELDS_TO_ROUTE: bool = false;
    /// Whether a global rule's block stands among the route's blocks of its stage, by its priority, and not outside of all of them:
    /// what answers in the place of a route must not do so before the route's own access lists have been asked.
    const STANDS_AMONG_ROUTES: bool = false;
    /// Whether its layers set another limit of a request's body than the gateway's (`limits.body_bytes`): routes with such a block
    /// hold bodies against the limit only when they are read.
    const SETS_BODY_LIMIT: bool = false;
    /// Whether its blocks do different things in different [stages](Plugin::stage). A consumer's block then takes the place of a
    /// route's of the same stage alone, and beside one of another stage it runs as well. Unless a plugin says otherwise, they do the
    /// same thing at another time, and the consumer's block counts.
    const STAGES_DIFFER: bool = false;
    /// Fields that hold secrets, of the route-side block, the consumer-side block and the metadata alike: encrypted at rest
    /// and redacted wherever configuration is shown. Paths with dots; `*` stands for each element of an array or each key
    /// of a map: `rules.*.password`. A field that is not there is skipped.
    const SECRET_FIELDS: &'static [&'static str] = &[];
    /// The typed block of configuration. Use `#[serde(default, deny_unknown_fields)]`.
    type Config: DeserializeOwned;

    /// Builds the layer of one block. Called when a configuration is compiled, never on a request's path.
    ///
    /// # Errors
    /// [`ConfigError`] when the block cannot work; the configuration is then refused and the last good one serves on.
    fn build(&self, config: Self::Config, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError>;

    /// Judges the plugin's metadata: what it is told once for the whole gateway. A plugin that takes any reads it with
    /// [`BuildContext::metadata`] and judges it here, by [`shape`](super::shape).
    ///
    /// # Errors
    /// What is wrong with it. Unless a plugin says otherwise, it takes none.
    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        let _ = metadata;
        Err(ConfigError::invalid(Self::NAME, "", "the plugin takes no metadata; remove it"))
    }

    /// Request fields by which a block tells upstreams who calls. A client's copies of them never pass, on any route,
    /// whether or not the plugin runs there (security.md HOP-05). `X-Consumer-*`, `X-Credential-*` and `X-Userinfo`
    /// need not be named.
    ///
    /// A layer that knows the caller by itself leaves a [`Consumer`](crate::Consumer) or an
    /// [`ExternalUser`](crate::request::ExternalUser) with the request as well: by these, caches keep callers' answers apart.
    fn identity_fields(&self, config: &Self::Config) -> Vec<HeaderName> {
        let _ = config;
        Vec::new()
    }

    /// What is doubtful about a block that is valid, such as a trust that anybody can abuse (security.md §1.5). It is told
    /// as warnings when the block is loaded or validated; the block works all the same. Unless a plugin says otherwise,
    /// nothing.
    fn caveats(&self, config: &Self::Config) -> Vec<Caveat> {
        let _ = config;
        Vec::new()
    }

    /// The JSON Schema of one of its types, without `_meta`: `of.block::<Self::Config>()`, and for what it reads besides
    /// `.or_else(|| of.credential::<..>())`, `.or_else(|| of.metadata::<..>())`. Unless a plugin says otherwise, none.
    fn schema(of: SchemaOf) -> Option<Value> {
        let _ = of;
        None
    }

    /// What the plugin answers by itself, for routes with `public-api`. Unless a plugin says otherwise, nothing.
    ///
    /// # Errors
    /// As [`Plugin::build`].
    fn apis(&self, cx: &BuildContext<'_>) -> Result<Vec<Api>, ConfigError> {
        let _ = cx;
        Ok(Vec::new())
    }

    /// The place of one block, where it depends on the block. Unless a plugin says otherwise, [`Plugin::STAGE`].
    fn stage(&self, config: &Self::Config) -> Stage {
        let _ = config;
        Self::STAGE
    }
}

/// Something that a plugin answers by itself.
#[derive(Clone, Debug)]
pub struct Api {
    /// The path that it is known by, such as `/apisix/prometheus/metrics`; with `/*` at its end, all that is below.
    pub path: String,
    /// What answers.
    pub service: Next,
}

/// A plugin that identifies consumers. On a route its block says how, on a consumer or credential what with.
///
/// Registered with `GatewayBuilder::auth_plugin`. Its stage is [`Stage::Authenticate`].
pub trait AuthPlugin: Plugin {
    /// The consumer-side field that no two consumers may have in common, such as `key`.
    const UNIQUE: &'static str;
    /// The typed block of a consumer or credential. Use `#[serde(deny_unknown_fields)]`.
    type Credential: DeserializeOwned;
    /// What is kept of it beside the identifier; `()` when the identifier is all.
    type Secret: Send + Sync + 'static;

    /// Takes a consumer-side block apart: what callers present to be looked up, and what they are then held against.
    ///
    /// # Errors
    /// What is wrong with the block.
    fn credential(&self, block: Self::Credential) -> Result<(Vec<u8>, Self::Secret), ConfigError>;

    /// The decision of a route-side block alone, for plugins that combine several (`multi-auth`).
    ///
    /// # Errors
    /// As [`Plugin::build`].
    fn authenticator(&self, config: Self::Config, cx: &BuildContext<'_>) -> Result<Arc<dyn Authenticate>, ConfigError>;

    /// A credential for [`ConsumersBuilder::consumer`](crate::request::ConsumersBuilder::consumer).
    ///
    /// # Errors
    /// What is wrong with the block.
    fn to_credential(&self, block: Self::Credential) -> Result<Credential, ConfigError> {
        let (identifier, secret) = self.credential(block)?;
        Ok(Credential { plugin: Self::NAME, identifier, secret: Arc::new(secret) })
    }
}

/// A doubt about a block that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caveat {
    /// The field, as a path; empty for the block as a whole.
    pub field: String,
    /// What is doubtful.
    pub message: String,
    /// What to write instead.
    pub mend: String,
}

impl Caveat {
    /// A doubt about `field`, and the way out of it.
    pub fn new(field: impl Into<String>, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), mend: mend.into() }
    }
}

/// Why a block of plugin configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field that is wrong by itself or with others, unknown or missing.
    #[error("failed to check the configuration of plugin {plugin} err: {}", Located(.field, .reason))]
    Invalid {
        /// The plugin's name.
        plugin: &'static str,
        /// The field, as a path; empty for the block as a whole.
        field: String,
        /// What is wrong, and the mend.
        reason: String,
    },
    /// A field that the plugin does not know. Under `unknown_fields: warn` a gateway leaves it out.
    #[error("failed to check the configuration of plugin {plugin} err: {}", Located(.field, .reason))]
    UnknownField {
        /// The plugin's name.
        plugin: &'static str,
        /// The field, as a path.
        field: String,
        /// Which fields there are.
        reason: String,
    },
}

impl ConfigError {
    /// A fault at `field` (a path such as `rules.0.count`; empty for the block as a whole).
    pub fn invalid(plugin: &'static str, field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { plugin, field: field.into(), reason: reason.into() }
    }

    /// The field, as a path inside the block; empty for the block as a whole.
    pub fn field(&self) -> &str {
        match self {
            Self::Invalid { field, .. } | Self::UnknownField { field, .. } => field,
        }
    }

    /// What is wrong, without the field.
    pub fn reason(&self) -> &str {
        match self {
            Self::Invalid { reason, .. } | Self::UnknownField { reason, .. } => reason,
        }
    }

    /// The same fault, seen from a block around: its path begins with `field`.
    #[must_use]
    pub fn under(self, outer: &'static str, at: &str) -> Self {
        let around = |field: String| if field.is_empty() { at.to_owned() } else { format!("{at}.{field}") };
        match self {
            Self::Invalid { field, reason, .. } => Self::Invalid { plugin: outer, field: around(field), reason },
            Self::UnknownField { field, reason, .. } => {
                Self::UnknownField { plugin: outer, field: around(field), reason }
            }
        }
    }
}

struct Located<'a>(&'a str, &'a str);

impl std::fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self("", reason) => f.write_str(reason),
            Self(field, reason) => write!(f, "{field}: {reason}"),
        }
    }
}
