//! All plugins that a gateway knows.
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::{Api, AuthPlugin, Authenticate, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage, schema};
use crate::PluginLayer;
use crate::request::Credential;

/// The plugins by name. A clone shares them.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Entry>);

/// One plugin with its types erased.
#[derive(Clone)]
pub struct Entry {
    name: &'static str,
    priority: i32,
    plugin: Arc<dyn Erased>,
    auth: Option<Arc<dyn ErasedAuth>>,
}

/// A block that was built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Built {
    /// The layer.
    pub layer: PluginLayer,
    /// Its place in the chain.
    pub stage: Stage,
    /// See [`Plugin::identity_fields`].
    pub identity_fields: Vec<HeaderName>,
    /// See [`Plugin::caveats`].
    pub caveats: Vec<Caveat>,
}

impl Registry {
    /// No plugin at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plugin, or replaces the one of the same name.
    pub fn register<P: Plugin>(&mut self, plugin: P) {
        let entry = Entry { name: P::NAME, priority: P::PRIORITY, plugin: Arc::new(plugin), auth: None };
        self.0.insert(P::NAME, entry);
    }

    /// As [`Registry::register`], for a plugin that identifies consumers.
    pub fn register_auth<P: AuthPlugin>(&mut self, plugin: P) {
        let plugin = Arc::new(plugin);
        let auth: Arc<dyn ErasedAuth> = Arc::<P>::clone(&plugin);
        self.0.insert(P::NAME, Entry { name: P::NAME, priority: P::PRIORITY, plugin, auth: Some(auth) });
    }

    /// All of them, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// Looks a plugin up.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// A plugin itself, by its type: for what it offers beside layers, such as the metrics of `prometheus`.
    pub fn plugin<P: Plugin>(&self) -> Option<&P> {
        let plugin: &dyn Any = &*self.0.get(P::NAME)?.plugin;
        plugin.downcast_ref()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

impl Entry {
    /// The plugin's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The place in the chain, of a block that does not say otherwise.
    pub fn stage(&self) -> Stage {
        self.plugin.default_stage()
    }

    /// The order inside the stage.
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// Whether a global rule's block gives way to the route's.
    pub fn yields_to_route(&self) -> bool {
        self.plugin.yields_to_route()
    }

    /// Whether a global rule's block stands among the route's; see [`Plugin::STANDS_AMONG_ROUTES`].
    pub fn stands_among_routes(&self) -> bool {
        self.plugin.stands_among_routes()
    }

    /// Whether its layers set another limit of a request's body; see [`Plugin::SETS_BODY_LIMIT`].
    pub fn sets_body_limit(&self) -> bool {
        self.plugin.sets_body_limit()
    }

    /// Whether its blocks do different things in different stages; see [`Plugin::STAGES_DIFFER`].
    pub fn stages_differ(&self) -> bool {
        self.plugin.stages_differ()
    }

    /// Whether it identifies consumers.
    pub fn is_auth(&self) -> bool {
        self.auth.is_some()
    }

    /// The consumer-side field that no two consumers may have in common; `None` if it identifies nobody.
    pub fn unique(&self) -> Option<&'static str> {
        self.auth.as_ref().map(|auth| auth.unique())
    }

    /// The fields that hold secrets; see [`Plugin::SECRET_FIELDS`].
    pub fn secret_fields(&self) -> &'static [&'static str] {
        self.plugin.secret_fields()
    }

    /// The JSON Schema (draft 2020-12) of the plugin's blocks, with `_meta`, or of its metadata. `None` where the plugin has
    /// nothing of the kind or does not describe it, and without the feature `schema`.
    pub fn schema(&self, of: SchemaOf) -> Option<Value> {
        let mut described = self.plugin.schema(of)?;
        if of != SchemaOf::Metadata {
            schema::add_meta(&mut described);
        }
        Some(described)
    }

    /// Builds the layer of one block (without `_meta`, with values in the place of references to secrets). Unless `cx` has the
    /// block as written, this is taken for it.
    ///
    /// # Errors
    /// What the plugin says of the block.
    pub fn build(&self, block: &Map<String, Value>, cx: &BuildContext<'_>) -> Result<Built, ConfigError> {
        match cx.block() {
            Some(_) => self.plugin.build(block, cx),
            None => self.plugin.build(block, &cx.with_block(block)),
        }
    }

    /// Judges metadata.
    ///
    /// # Errors
    /// What the plugin says of it.
    pub fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        self.plugin.check_metadata(metadata)
    }

    /// What the plugin answers by itself.
    ///
    /// # Errors
    /// What the plugin says of its attributes.
    pub fn apis(&self, cx: &BuildContext<'_>) -> Result<Vec<Api>, ConfigError> {
        self.plugin.apis(cx)
    }

    /// Takes a consumer-side block apart.
    ///
    /// # Errors
    /// What the plugin says of the block, and that it identifies nobody.
    pub fn credential(&self, block: &Map<String, Value>) -> Result<Credential, ConfigError> {
        self.auth.as_ref().ok_or_else(|| self.no_auth())?.credential(block)
    }

    /// The decision of a route-side block.
    ///
    /// # Errors
    /// What the plugin says of the block, and that it identifies nobody.
    pub fn authenticator(
        &self,
        block: &Map<String, Value>,
        cx: &BuildContext<'_>,
    ) -> Result<Arc<dyn Authenticate>, ConfigError> {
        self.auth.as_ref().ok_or_else(|| self.no_auth())?.authenticator(block, &cx.with_block(block))
    }

    fn no_auth(&self) -> ConfigError {
        ConfigError::invalid(self.name, "", "the plugin does not identify consumers")
    }
}

trait Erased: Any + Send + Sync {
    fn build(&self, block: &Map<String, Value>, cx: &BuildContext<'_>) -> Result<Built, ConfigError>;
    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError>;
    fn yields_to_route(&self) -> bool;
    fn stands_among_routes(&self) -> bool;
    fn sets_body_limit(&self) -> bool;
    fn stages_differ(&self) -> bool;
    fn secret_fields(&self) -> &'static [&'static str];
    fn schema(&self, of: SchemaOf) -> Option<Value>;
    fn default_stage(&self) -> Stage;
    fn apis(&self, cx: &BuildContext<'_>) -> Result<Vec<Api>, ConfigError>;
}

impl<P: Plugin> Erased for P {
    fn yields_to_route(&self) -> bool {
        P::YIELDS_TO_ROUTE
    }

    fn stands_among_routes(&self) -> bool {
        P::STANDS_AMONG_ROUTES
    }

    fn sets_body_limit(&self) -> bool {
        P::SETS_BODY_LIMIT
    }

    fn stages_differ(&self) -> bool {
        P::STAGES_DIFFER
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        P::SECRET_FIELDS
    }

    fn schema(&self, of: SchemaOf) -> Option<Value> {
        P::schema(of)
    }

    fn default_stage(&self) -> Stage {
        P::STAGE
    }

    fn build(&self, block: &Map<String, Value>, cx: &BuildContext<'_>) -> Result<Built, ConfigError> {
        let config = shape(P::NAME, block)?;
        let stage = self.stage(&config);
        let identity_fields = self.identity_fields(&config);
        let caveats = self.caveats(&config);
        Ok(Built { layer: Plugin::build(self, config, cx)?, stage, identity_fields, caveats })
    }

    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        Plugin::check_metadata(self, metadata)
    }

    fn apis(&self, cx: &BuildContext<'_>) -> Result<Vec<Api>, ConfigError> {
        Plugin::apis(self, cx)
    }
}

trait ErasedAuth: Send + Sync {
    fn unique(&self) -> &'static str;
    fn credential(&self, block: &Map<String, Value>) -> Result<Credential, ConfigError>;
    fn authenticator(
        &self,
        block: &Map<String, Value>,
        cx: &BuildContext<'_>,
    ) -> Result<Arc<dyn Authenticate>, ConfigError>;
}

impl<P: AuthPlugin> ErasedAuth for P {
    fn unique(&self) -> &'static str {
        P::UNIQUE
    }

    fn credential(&self, block: &Map<String, Value>) -> Result<Credential, ConfigError> {
        self.to_credential(shape(P::NAME, block)?)
    }

    fn authenticator(
        &self,
        block: &Map<String, Value>,
        cx: &BuildContext<'_>,
    ) -> Result<Arc<dyn Authenticate>, ConfigError> {
        AuthPlugin::authenticator(self, shape(P::NAME, block)?, cx)
    }
}

/// Reads a block into the plugin's type.
///
/// # Errors
/// The first field that is unknown, missing or wrong, with its path.
pub fn shape<T: DeserializeOwned>(plugin: &'static str, block: &Map<String, Value>) -> Result<T, ConfigError> {
    let value = Value::Object(block.clone());
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path.replace('[', ".").replace(']', "") };
        let reason = without_value(error.inner().to_string());
        match unknown_field(&reason) {
            None => ConfigError::invalid(plugin, field, reason),
            Some(name) => {
                // Types that read themselves are told at the object around the field, all others at the field.
                let at_the_field =
                    matches!(error.path().iter().next_back(), Some(Segment::Map { key }) if key.as_str() == name);
                let field = match &*field {
                    _ if at_the_field => field,
                    "" => name.to_owned(),
                    around => format!("{around}.{name}"),
                };
                ConfigError::UnknownField { plugin, field, reason }
            }
        }
    })
}

/// A message of [`serde::de::Error::invalid_type`] or `invalid_value` without the value, which may be a secret: only of
/// which type it is stays.
fn without_value(reason: String) -> String {
    let is_value = ["invalid type: ", "invalid value: "].iter().any(|head| reason.starts_with(head));
    match (reason.find(['`', '"']), reason.rsplit_once(", expected ")) {
        (Some(from), Some((found, expected))) if is_value && from < found.len() => {
            format!("{}, expected {expected}", reason[..from].trim_end())
        }
        _ => reason,
    }
}

/// The field that a message of [`serde::de::Error::unknown_field`] names: the one thing that tells it from other faults.
fn unknown_field(reason: &str) -> Option<&str> {
    Some(reason.strip_prefix("unknown field `")?.split_once('`')?.0)
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.priority)
    }
}
