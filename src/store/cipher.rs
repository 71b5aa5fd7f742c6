//! One key of a keyring: AES-GCM, our own way, and AES-CBC, the reference's.
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;

use super::keyring::{KeyringError, NotOpened};

/// What one key does.
pub(super) struct Cipher {
    gcm: RandomizedNonceKey,
    encrypt: PaddedBlockEncryptingKey,
    decrypt: PaddedBlockDecryptingKey,
    /// The initialisation vector of the reference: what the key begins with.
    vector: [u8; 16],
}

impl Cipher {
    /// Of the key at a 1-based position.
    pub(super) fn new(position: usize, key: &[u8]) -> Result<Self, KeyringError> {
        let length = || KeyringError::Length { position, length: key.len() };
        let (gcm, cbc) = match key.len() {
            16 => (&AES_128_GCM, &AES_128),
            32 => (&AES_256_GCM, &AES_256),
            _ => return Err(length()),
        };
        let make = || -> Result<Self, Unspecified> {
            Ok(Self {
                gcm: RandomizedNonceKey::new(gcm, key)?,
                encrypt: PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(cbc, key)?)?,
                decrypt: PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(cbc, key)?)?,
                vector: *key.first_chunk().ok_or(Unspecified)?,
            })
        };
        make().map_err(|_| length())
    }

    /// A nonce, what is encrypted, and the tag over it and the place.
    pub(super) fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let mut sealed = plain.to_vec();
        let nonce = self.gcm.seal_in_place_append_tag(Aad::from(place), &mut sealed).map_err(|_| NotOpened)?;
        Ok([&nonce.as_ref()[..], &sealed].concat())
    }

    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(NotOpened)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.gcm.open_in_place(nonce, Aad::from(place), &mut sealed).map_err(|_| NotOpened)?;
        Ok(plain.to_vec())
    }

    pub(super) fn seal_cbc(&self, plain: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let mut sealed = plain.to_vec();
        let context = EncryptionContext::Iv128(FixedLength::from(self.vector));
        self.encrypt.less_safe_encrypt(&mut sealed, context).map_err(|_| NotOpened)?;
        Ok(sealed)
    }

    pub(super) fn open_cbc(&self, sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let mut sealed = sealed.to_vec();
        let context = DecryptionContext::Iv128(FixedLength::from(self.vector));
        Ok(self.decrypt.decrypt(&mut sealed, context).map_err(|_| NotOpened)?.to_vec())
    }
}
