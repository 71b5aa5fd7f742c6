//! Directories that blocks have in common.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::LdapAuthConfig;
use super::directory::Directory;
use crate::plugin::ConfigError;

/// The directories of every block in force, by address and TLS: a thousand routes with one directory ask it as one,
/// with one set of root certificates, also across reloads.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<HashMap<Key, Weak<Directory>>>);

/// `ldap_uri`, `use_tls`, `tls_verify`.
type Key = (String, bool, bool);

impl Shelf {
    /// The directory of a block. Called when layers are built, never on a request's path.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub(super) fn get(&self, config: &LdapAuthConfig) -> Result<Arc<Directory>, ConfigError> {
        let key = (config.ldap_uri.clone(), config.use_tls, config.tls_verify);
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = shelf.get(&key).and_then(Weak::upgrade) {
            return Ok(directory);
        }
        let directory = Arc::new(Directory::new(config)?);
        shelf.retain(|_, directory| directory.strong_count() > 0);
        shelf.insert(key, Arc::downgrade(&directory));
        Ok(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_with_one_directory_have_it_in_common() {
        let shelf = Shelf::default();
        let block = |uri: &str, use_tls: bool| LdapAuthConfig { use_tls, ..LdapAuthConfig::new(uri, "dc=x") };
        let first = shelf.get(&block("a:389", false)).unwrap();
        let again = shelf.get(&LdapAuthConfig { timeout: 9, ..block("a:389", false) }).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        for other in [block("b:389", false), block("a:389", true)] {
            assert!(!Arc::ptr_eq(&first, &shelf.get(&other).unwrap()), "{other:?}");
        }
        assert_eq!(shelf.0.lock().unwrap().len(), 2, "those of blocks that are gone are forgotten");
    }
}
