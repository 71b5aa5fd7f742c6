//! One client for all blocks of a plugin that ask in the same way.
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::client::Inner;
use super::{Callout, CalloutConfig, CalloutError};

/// The clients of a plugin, one for each distinct [`CalloutConfig`]. A plugin keeps it for its lifetime: connections
/// outlive reloads, and a thousand routes with equal blocks share one pool and one set of root certificates. A client that no
/// layer has any more is gone, with its connections.
#[derive(Default)]
pub struct Callouts(Mutex<HashMap<CalloutConfig, Weak<Inner>>>);

impl Callouts {
    /// The client of this configuration. Called when layers are built, never on a request's path.
    ///
    /// # Errors
    /// What [`Callout::new`] says.
    pub fn get(&self, config: &CalloutConfig) -> Result<Callout, CalloutError> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = clients.get(config).and_then(Weak::upgrade) {
            return Ok(Callout(inner));
        }
        let callout = Callout::new(config.clone())?;
        clients.retain(|_, client| client.strong_count() > 0);
        clients.insert(config.clone(), Arc::downgrade(&callout.0));
        Ok(callout)
    }
}

impl fmt::Debug for Callouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(clients.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn clients_are_shared_while_somebody_has_them() {
        let callouts = Callouts::default();
        let of = |seconds| {
            let config = CalloutConfig { timeout: Duration::from_secs(seconds), ..CalloutConfig::default() };
            callouts.get(&config).unwrap()
        };
        let kept = of(1);
        assert!(Arc::ptr_eq(&kept.0, &of(1).0));
        for seconds in 2..100 {
            of(seconds);
        }
        assert!(callouts.0.lock().unwrap().len() <= 2, "{callouts:?}");
        assert!(Arc::ptr_eq(&kept.0, &of(1).0), "a reload finds the connections that there are");
    }
}
