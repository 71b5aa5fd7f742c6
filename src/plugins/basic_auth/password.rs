//! What is kept of passwords, and how presented ones are held against it.
use std::fmt;
#[cfg(feature = "password-hash")]
use std::sync::Arc;

#[cfg(feature = "password-hash")]
use super::hash::{Hashed, Hashing};
use super::plugin::BasicAuthPlugin;
use crate::model::Sensitive;
use crate::plugin::{ConfigError, Plugin as _};

/// What is kept of one password: a keyed digest, or the hash that was configured.
pub struct Password(Kept);

enum Kept {
    Clear(blake3::Hash),
    #[cfg(feature = "password-hash")]
    Hashed(Arc<Hashed>),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password([redacted])")
    }
}

/// What all passwords of a plugin are judged by.
#[derive(Debug)]
pub(super) struct Judge {
    /// Of the digests; drawn at random.
    key: [u8; 32],
    #[cfg(feature = "password-hash")]
    pub(super) hashing: Hashing,
}

/// What a look at a presented password says.
#[derive(Debug)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// A hash has to be worked out first.
    #[cfg(feature = "password-hash")]
    Open(super::hash::Question),
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            key: crate::request::random_key(),
            #[cfg(feature = "password-hash")]
            hashing: Hashing::default(),
        }
    }
}

impl Judge {
    /// What is to be kept of a configured password.
    pub(super) fn keep(&self, password: &Sensitive) -> Result<Password, ConfigError> {
        let text = password.expose();
        #[cfg(feature = "password-hash")]
        if let Some(hashed) = self.hashing.keep(text)? {
            return Ok(Password(Kept::Hashed(hashed)));
        }
        // As a password in clear a hash would let in whoever read the configuration.
        if ["$argon2", "$scrypt$"].iter().any(|hash| text.starts_with(hash)) {
            let reason = match cfg!(feature = "password-hash") {
                true => "is a hash of another kind than `$argon2id$` and `$scrypt$`: use one of them",
                false => "is a hash, which needs the feature `password-hash`",
            };
            return Err(ConfigError::invalid(BasicAuthPlugin::NAME, "password", reason));
        }
        Ok(Password(Kept::Clear(self.digest(text.as_bytes()))))
    }

    /// Holds what was presented against a user's password, or against nobody's. What is compared are keyed digests, in
    /// constant time (security.md AUTH-01), and nobody's takes the same steps.
    pub(super) fn look(&self, kept: Option<&Password>, presented: &[u8]) -> Verdict {
        let presented_digest = self.digest(presented);
        let nobody = blake3::Hash::from_bytes([0; 32]);
        let right = match kept {
            Some(Password(Kept::Clear(digest))) => presented_digest == *digest,
            #[cfg(feature = "password-hash")]
            Some(Password(Kept::Hashed(hashed))) => presented_digest == *hashed.proven().unwrap_or(&nobody),
            None => presented_digest == nobody,
        };
        if right && kept.is_some() {
            return Verdict::Right;
        }
        #[cfg(feature = "password-hash")]
        {
            let hashed = match kept {
                Some(Password(Kept::Hashed(hashed))) => Some(hashed),
                _ => None,
            };
            if let Some(question) = self.hashing.question(hashed, presented, presented_digest) {
                return Verdict::Open(question);
            }
        }
        Verdict::Wrong
    }

    fn digest(&self, password: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.key, password)
    }
}
