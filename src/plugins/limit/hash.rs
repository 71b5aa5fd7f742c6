//! Names of counters as keyed hashes of 128 bits: short, of one size, and not to be guessed from outside.
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The name of one counter inside a process (security.md PLG-04).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) u64, pub(crate) u64);

/// The secret of one store: without it nobody can choose two keys that meet.
#[derive(Clone, Copy)]
pub(crate) struct Secret(u64, u64);

impl Secret {
    /// A new secret, from the randomness that std's hash maps use.
    pub(crate) fn random() -> Self {
        let word = || RandomState::new().build_hasher().finish();
        Self(word(), word())
    }

    /// The counters of one owner. `name` may have any bytes: its length is hashed as well, so that no name and key together
    /// are like another name and key.
    pub(crate) fn namespace(self, name: &[u8]) -> Namespace {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write_u64(name.len() as u64);
        hasher.write(name);
        Namespace(hasher)
    }
}

/// The counters of one owner, with the owner's name hashed already.
#[derive(Clone)]
pub(crate) struct Namespace(SipHasher13);

impl Namespace {
    /// A key that is written piece by piece.
    pub(crate) fn writer(&self) -> KeyWriter {
        KeyWriter(self.0)
    }

    /// The counter of a key.
    pub(crate) fn key(&self, key: &[u8]) -> Key {
        let mut writer = self.writer();
        writer.write(key);
        writer.finish()
    }
}

/// A key on its way into its hash.
pub(crate) struct KeyWriter(SipHasher13);

impl KeyWriter {
    /// More bytes of the key; where one piece ends and the next begins does not matter.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The counter.
    pub(crate) fn finish(&self) -> Key {
        let hash = self.0.finish128();
        Key(hash.h1, hash.h2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_and_secrets_keep_keys_apart() {
        let secret = Secret(1, 2);
        let key = secret.namespace(b"route/1:7").key(b"alice");
        assert_eq!(key, secret.namespace(b"route/1:7").key(b"alice"));
        assert_ne!(key, secret.namespace(b"route/1:7").key(b"Alice"));
        assert_ne!(key, secret.namespace(b"route/1:7a").key(b"lice"));
        assert_ne!(key, Secret(1, 3).namespace(b"route/1:7").key(b"alice"));
        assert_ne!(Secret::random().namespace(b"").key(b""), Secret::random().namespace(b"").key(b""));
    }

    #[test]
    fn pieces_are_the_whole() {
        let names = Secret::random().namespace(b"n");
        let mut writer = names.writer();
        writer.write(b"ali");
        writer.write(b"");
        writer.write(b"ce");
        assert_eq!(writer.finish(), names.key(b"alice"));
    }
}
