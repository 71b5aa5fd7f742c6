//! What stands in for `cipher.rs` without the feature `keyring`: there is no [`Cipher`], so there is no keyring.
use super::keyring::{KeyringError, NotOpened};

pub(super) enum Cipher {}

impl Cipher {
    pub(super) fn new(_position: usize, _key: &[u8]) -> Result<Self, KeyringError> {
        Err(KeyringError::NotCompiled)
    }

    pub(super) fn seal(&self, _place: &[u8], _plain: &[u8]) -> Result<Vec<u8>, NotOpened> {
        match *self {}
    }

    pub(super) fn open(&self, _place: &[u8], _sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        match *self {}
    }

    pub(super) fn seal_cbc(&self, _plain: &[u8]) -> Result<Vec<u8>, NotOpened> {
        match *self {}
    }

    pub(super) fn open_cbc(&self, _sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        match *self {}
    }
}
