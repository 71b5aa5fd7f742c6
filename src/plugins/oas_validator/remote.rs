//! Documents that are fetched.
use std::collections::HashMap;
use std::sync::{Arc, Mutex as Lock, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::OasValidatorPlugin;
use super::api::Api;
use super::document::compile;
use crate::plugin::{ConfigError, Plugin as _};
use crate::plugins::callout::{Callout, CalloutConfig, CalloutError};

/// Nobody asks again for so long after a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest document, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// Where a document is, and how it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) uri: Uri,
    /// Names in lower case and values, in order of name.
    pub(super) fields: Vec<(String, String)>,
    pub(super) verify: bool,
    pub(super) timeout: Duration,
    pub(super) lifetime: Duration,
}

/// A document that is fetched and kept.
#[derive(Debug)]
pub(super) struct Remote {
    uri: Uri,
    fields: HeaderMap,
    callout: Callout,
    lifetime: Duration,
    current: ArcSwapOption<Held>,
    /// Held while fetching; when a fetch failed last.
    turn: Arc<Mutex<Option<Instant>>>,
}

#[derive(Debug)]
struct Held {
    api: Arc<Api>,
    digest: blake3::Hash,
    at: Instant,
}

/// Why a fetch brought no document.
#[derive(Debug, thiserror::Error)]
enum NoDocument {
    #[error(transparent)]
    Call(#[from] CalloutError),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("{0}")]
    Unusable(String),
}

impl Remote {
    pub(super) fn new(address: &Address) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: &str| ConfigError::invalid(OasValidatorPlugin::NAME, field, reason);
        let mut fields = HeaderMap::new();
        for (name, value) in &address.fields {
            let field = format!("spec_url_request_headers.{name}");
            let value = value.parse().map_err(|_| wrong(&field, "holds a character that no field may have"))?;
            let name =
                http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(&field, "is no name of a field"))?;
            fields.insert(name, value);
        }
        let config = CalloutConfig {
            timeout: address.timeout,
            keepalive: false,
            ssl_verify: address.verify,
            max_body: LONGEST,
            ..CalloutConfig::default()
        };
        let callout = Callout::new(config).map_err(|error| wrong("ssl_verify", &error.to_string()))?;
        let (uri, lifetime) = (address.uri.clone(), address.lifetime);
        Ok(Self { uri, fields, callout, lifetime, current: ArcSwapOption::empty(), turn: Arc::default() })
    }

    /// The document. The first one is waited for; an old one serves on while a new one is fetched in the background, and for as
    /// long as there is none.
    pub(super) async fn get(self: &Arc<Self>) -> Option<Arc<Api>> {
        if let Some(held) = self.current.load_full() {
            if held.at.elapsed() >= self.lifetime
                && let Ok(mut failed) = Arc::clone(&self.turn).try_lock_owned()
                && !is_recent(*failed)
            {
                let remote = Arc::clone(self);
                tokio::spawn(async move { *failed = remote.renew().await });
            }
            return Some(Arc::clone(&held.api));
        }
        let mut failed = self.turn.lock().await;
        if self.current.load().is_none() && !is_recent(*failed) {
            *failed = self.renew().await;
        }
        self.current.load().as_ref().map(|held| Arc::clone(&held.api))
    }

    /// Fetches; tells when it failed, if it did.
    async fn renew(&self) -> Option<Instant> {
        let error = match self.fetch().await {
            Ok(held) => {
                self.current.store(Some(Arc::new(held)));
                return None;
            }
            Err(error) => error,
        };
        #[cfg(feature = "tracing")]
        tracing::error!(uri = %self.uri, error = &error as &dyn std::error::Error, "oas-validator: no document was fetched");
        let _ = error;
        Some(Instant::now())
    }

    async fn fetch(&self) -> Result<Held, NoDocument> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.fields.clone();
        let answer = self.callout.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(NoDocument::Status(answer.status()));
        }
        let text = answer.into_body();
        let digest = blake3::hash(&text);
        if let Some(held) = self.current.load_full().filter(|held| held.digest == digest) {
            return Ok(Held { api: Arc::clone(&held.api), digest, at: Instant::now() });
        }
        // a large document takes tens of milliseconds
        let compiled = tokio::task::spawn_blocking(move || compile(&text)).await;
        let compiled =
            compiled.unwrap_or_else(|_| Err("compiling it failed".to_owned())).map_err(NoDocument::Unusable)?;
        Ok(Held { api: Arc::new(compiled), digest, at: Instant::now() })
    }
}

fn is_recent(failed: Option<Instant>) -> bool {
    failed.is_some_and(|at| at.elapsed() < PAUSE)
}

/// The documents that blocks share, for as long as one of them is in use.
#[derive(Debug, Default)]
pub(super) struct Remotes(Lock<HashMap<Address, Weak<Remote>>>);

impl Remotes {
    pub(super) fn get(&self, address: Address) -> Result<Arc<Remote>, ConfigError> {
        let mut remotes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = remotes.get(&address).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let remote = Arc::new(Remote::new(&address)?);
        remotes.retain(|_, remote| remote.strong_count() > 0);
        remotes.insert(address, Arc::downgrade(&remote));
        Ok(remote)
    }
}
