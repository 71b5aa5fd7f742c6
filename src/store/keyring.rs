//! [`Keyring`]: the keys that encrypt what must not be read in a store or a file.
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "keyring")]
use super::cipher::Cipher;
#[cfg(not(feature = "keyring"))]
use super::no_cipher::Cipher;

/// Keys of 16 or 32 bytes: the first encrypts, all decrypt. To change the key, put the new one first and keep the old ones
/// until everything was written again.
///
/// What is encrypted is authenticated, and bound to its place, by AES-GCM (AES-128 or AES-256 by the key's length) with a
/// random nonce. Values that the reference encrypted with the same keys are read as well, so that one store can be shared.
#[derive(Clone)]
pub struct Keyring {
    ciphers: Arc<[Cipher]>,
    compatible: bool,
}

/// Why keys make no keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// There are none.
    #[error("a keyring needs a key: write one of 16 or 32 bytes, or leave the keyring out")]
    Empty,
    /// A key has another length.
    #[error("key {position} of the keyring has {length} bytes: write 16 (AES-128) or 32 (AES-256)")]
    Length {
        /// Which one, from 1 on.
        position: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// The feature `keyring` is not compiled in.
    #[error("this build cannot encrypt: build it with the feature `keyring`, or leave the keyring out")]
    NotCompiled,
}

/// Nothing that the keyring could open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotOpened;

impl Keyring {
    /// Of these keys, of which references were looked up already.
    ///
    /// # Errors
    /// When there is none, or one has another length than 16 or 32 bytes.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Self, KeyringError> {
        let cipher = |(index, key): (usize, K)| Cipher::new(index + 1, key.as_ref());
        let ciphers: Arc<[_]> = keys.into_iter().enumerate().map(cipher).collect::<Result<_, _>>()?;
        if ciphers.is_empty() { Err(KeyringError::Empty) } else { Ok(Self { ciphers, compatible: false }) }
    }

    /// Whether to write values of a store as the reference does (AES-CBC with the key as initialisation vector, in base64),
    /// so that it can read them, too. Equal secrets then look equal, and changed ones are not noticed. Default `false`.
    #[must_use]
    pub fn compatible(mut self, compatible: bool) -> Self {
        self.compatible = compatible;
        self
    }

    pub(super) fn is_compatible(&self) -> bool {
        self.compatible
    }

    /// Encrypts bytes that can only be opened at the same place.
    pub(super) fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, NotOpened> {
        self.ciphers.first().ok_or(NotOpened)?.seal(place, plain)
    }

    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        self.ciphers.iter().find_map(|cipher| cipher.open(place, sealed).ok()).ok_or(NotOpened)
    }

    /// Encrypts as the reference does.
    pub(super) fn seal_compatibly(&self, plain: &[u8]) -> Result<Vec<u8>, NotOpened> {
        self.ciphers.first().ok_or(NotOpened)?.seal_cbc(plain)
    }

    /// Decrypts what the reference encrypted.
    pub(super) fn open_compatible(&self, sealed: &[u8]) -> Result<String, NotOpened> {
        let open = |cipher: &Cipher| String::from_utf8(cipher.open_cbc(sealed).ok()?).ok();
        self.ciphers.iter().find_map(open).ok_or(NotOpened)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.ciphers.len())
    }
}
