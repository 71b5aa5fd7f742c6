//! One client for all blocks of a plugin that ask in the same way.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Callout, CalloutConfig, CalloutError};

/// The clients of a plugin, one for each distinct [`CalloutConfig`]. A plugin keeps it for its lifetime: connections
/// outlive reloads, and a thousand routes with equal blocks share one pool and one set of root certificates.
#[derive(Debug, Default)]
pub struct Callouts(Mutex<HashMap<CalloutConfig, Callout>>);

impl Callouts {
    /// The client of this configuration. Called when layers are built, never on a request's path.
    ///
    /// # Errors
    /// What [`Callout::new`] says.
    pub fn get(&self, config: &CalloutConfig) -> Result<Callout, CalloutError> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(callout) = clients.get(config) {
            return Ok(callout.clone());
        }
        let callout = Callout::new(config.clone())?;
        clients.insert(config.clone(), callout.clone());
        Ok(callout)
    }
}
