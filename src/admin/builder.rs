//! How an [`AdminApi`] is put together.
use std::fmt;
use std::io;
use std::sync::Arc;

use super::api::{AdminApi, Shared};
use super::audit::{AuditLog, AuditSink};
use super::auth::Keys;
use super::configs::Configs;
use super::origin::Origins;
use super::routes::endpoints;
use super::throttle::Throttle;
use crate::Gateway;
use crate::gateway::ApplyError;
use crate::model::{AdminSettings, is_reference};
use crate::plugin::SecretFields;
use crate::store::{Mirror, Sealing};

/// Puts an [`AdminApi`] together: what [`AdminApi::builder`] gives.
pub struct AdminBuilder {
    mirror: Mirror,
    gateway: Option<Gateway>,
    settings: AdminSettings,
    audit: Option<Arc<dyn AuditSink>>,
    full_config: bool,
    unknown_clients: bool,
}

/// Why there is no [`AdminApi`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminBuildError {
    /// There is no key (security.md ADM-01).
    #[error("the Admin API has no key: add one under `tollgate.admin.keys`, of at least 16 random characters")]
    NoKey,
    /// A key is too short to be one.
    #[error("the key `{name}` of the Admin API is shorter than 16 characters")]
    ShortKey {
        /// The key's name.
        name: String,
    },
    /// The reference to a key leads nowhere.
    #[error("the key `{name}` of the Admin API: {reason}")]
    Reference {
        /// The key's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No key is asked for, beyond the loopback.
    #[error(
        "the Admin API asks for no key, but its listener {listen} is not on the loopback: set \
         `tollgate.admin.admin_key_required`, or listen on 127.0.0.1"
    )]
    Open {
        /// The address.
        listen: std::net::SocketAddr,
    },
    /// The audit log cannot be opened.
    #[error("the audit log cannot be opened: {0}")]
    Audit(#[source] io::Error),
    /// The system has no random numbers.
    #[error("there are no random numbers: {0}")]
    Random(String),
    /// The gateway that judges plugins in the place of one that serves cannot be built.
    #[error("the gateway that judges writes cannot be built: {0}")]
    Judge(#[source] ApplyError),
}

impl AdminBuilder {
    pub(super) fn new(mirror: Mirror, gateway: Option<Gateway>) -> Self {
        Self {
            mirror,
            gateway,
            settings: AdminSettings::default(),
            audit: None,
            full_config: false,
            unknown_clients: false,
        }
    }

    /// Keys, networks, names: `tollgate.admin`. Its `listen` is the business of whoever opens the listener.
    #[must_use]
    pub fn settings(mut self, settings: AdminSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Where the audit log goes. Default: where the settings say.
    #[must_use]
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Some(Arc::new(sink));
        self
    }

    /// Whether `/configs` replaces the whole configuration in one call (config-sources.md §4). Default `false`: those who
    /// share a store change single items.
    #[must_use]
    pub fn full_config(mut self, full_config: bool) -> Self {
        self.full_config = full_config;
        self
    }

    /// Whether clients whose address is unknown are let in where no key is asked for: say so behind a Unix socket that only
    /// its owner can connect to. Default `false`. With keys it does not matter.
    #[must_use]
    pub fn unknown_clients(mut self, unknown_clients: bool) -> Self {
        self.unknown_clients = unknown_clients;
        self
    }

    /// Puts it together.
    ///
    /// # Errors
    /// Without a key, unless none is asked for on the loopback; when the audit log cannot be opened.
    pub fn build(self) -> Result<AdminApi, AdminBuildError> {
        let Self { mirror, gateway, settings, audit, full_config, unknown_clients } = self;
        let keys = keys(&settings)?;
        let audit = match (audit, &settings.audit_log) {
            (None, Some(path)) => {
                let log: Arc<dyn AuditSink> = Arc::new(AuditLog::file(path).map_err(AdminBuildError::Audit)?);
                Some(log)
            }
            (audit, _) => audit,
        };
        let serves = gateway.is_some();
        let judge = match gateway {
            Some(gateway) => gateway,
            None => Gateway::builder().build().map_err(AdminBuildError::Judge)?,
        };
        let registry = judge.registry();
        Ok(AdminApi(Arc::new(Shared {
            mirror,
            judge,
            serves,
            sealing: Sealing::new(None, SecretFields::from(&registry)),
            registry,
            origins: Origins::new(&settings, unknown_clients),
            throttle: Throttle::default(),
            endpoints: endpoints(),
            configs: full_config.then(Configs::default),
            prefix: settings.prefix.trim_end_matches('/').to_owned(),
            keys,
            audit,
            judging: tokio::sync::Mutex::default(),
        })))
    }
}

fn keys(settings: &AdminSettings) -> Result<Keys, AdminBuildError> {
    if !settings.admin_key_required && !settings.listen.ip().is_loopback() {
        return Err(AdminBuildError::Open { listen: settings.listen });
    }
    if settings.admin_key_required && settings.keys.is_empty() {
        return Err(AdminBuildError::NoKey);
    }
    let mut keys = Vec::with_capacity(settings.keys.len());
    for key in &settings.keys {
        let text = resolved(key.key.expose())
            .map_err(|reason| AdminBuildError::Reference { name: key.name.clone(), reason })?;
        if text.len() < 16 {
            return Err(AdminBuildError::ShortKey { name: key.name.clone() });
        }
        keys.push((Arc::from(key.name.as_str()), key.role, text));
    }
    Keys::new(settings, &keys).map_err(|error| AdminBuildError::Random(error.to_string()))
}

/// A key as written, or the value of the variable that it names. Secret managers stand in the store, which nobody may
/// change before there is a key.
fn resolved(key: &str) -> Result<String, String> {
    if !is_reference(key) {
        return Ok(key.to_owned());
    }
    match key.split_once("://") {
        Some((scheme, name)) if scheme.eq_ignore_ascii_case("$env") => {
            std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))
        }
        _ => Err("is a reference to a secret manager; write the key, or `$env://NAME`".to_owned()),
    }
}

impl fmt::Debug for AdminBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminBuilder").field("full_config", &self.full_config).finish_non_exhaustive()
    }
}
