//! Sessions outlive reloads.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::CasAuthConfig;
use super::sessions::{Room, Sessions};

/// The sessions of every block in force. Blocks with the same server, way back and secret have theirs in common, service by
/// service: of several routes with one `cas_callback_uri` only one sees the way back.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<HashMap<Place, Weak<Sessions>>>);

/// A digest of server, way back and secret.
type Place = [u8; blake3::OUT_LEN];

impl Shelf {
    /// The sessions of a block. Called when layers are built, never on a request's path.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(super) fn get(&self, config: &CasAuthConfig) -> Result<Arc<Sessions>, getrandom::Error> {
        let place = place(config);
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sessions) = shelf.get(&place).and_then(Weak::upgrade) {
            return Ok(sessions);
        }
        let sessions = Arc::new(Sessions::new(Room::default())?);
        shelf.retain(|_, sessions| sessions.strong_count() > 0);
        shelf.insert(place, Arc::downgrade(&sessions));
        Ok(sessions)
    }
}

fn place(config: &CasAuthConfig) -> Place {
    let mut hasher = blake3::Hasher::new();
    for part in [&*config.idp_uri, &config.cas_callback_uri, config.cookie.secret.expose()] {
        // each part with its length, so that no two lists give the same text
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_blocks_have_their_sessions_in_common_for_as_long_as_there_is_one() {
        const SECRET: &str = "a secret of more than thirty-two characters";
        let shelf = Shelf::default();
        let block = |idp: &str, callback: &str, secret: &str| CasAuthConfig::new(idp, callback, "/out", secret);
        let first = shelf.get(&block("http://a.test", "/cb", SECRET)).unwrap();
        assert!(Arc::ptr_eq(&first, &shelf.get(&block("http://a.test", "/cb", SECRET)).unwrap()));
        for other in [
            block("http://b.test", "/cb", SECRET),
            block("http://a.test", "/cc", SECRET),
            block("http://a.test", "/cb", "another secret of more than thirty-two characters"),
            block("http://a.test/", "cb", SECRET),
        ] {
            assert!(!Arc::ptr_eq(&first, &shelf.get(&other).unwrap()), "{other:?}");
        }
        assert_eq!(shelf.0.lock().unwrap().len(), 2, "those of blocks that are gone are forgotten");
    }
}
