//! What an issuer is told.
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{AcmeFault, Challenge, Clock, KeyType};

/// What an issuer does, and for whom.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) directory: String,
    pub(super) folder: PathBuf,
    pub(super) contacts: Vec<String>,
    pub(super) terms_agreed: bool,
    pub(super) roots: Option<String>,
    pub(super) binding: Option<Binding>,
    pub(super) challenges: Vec<Challenge>,
    pub(super) renew_before: f64,
    pub(super) key_type: KeyType,
    pub(super) profile: Option<String>,
    pub(super) look_every: Duration,
    pub(super) clock: Clock,
}

/// An external account binding (RFC 8555 §7.3.4).
#[derive(Clone)]
pub(super) struct Binding {
    pub(super) id: String,
    pub(super) key: Vec<u8>,
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Options {
    pub(super) fn new(directory: String) -> Self {
        Self {
            directory,
            folder: PathBuf::new(),
            contacts: Vec::new(),
            terms_agreed: false,
            roots: None,
            binding: None,
            challenges: vec![Challenge::TlsAlpn01, Challenge::Http01],
            renew_before: 1.0 / 3.0,
            key_type: KeyType::default(),
            profile: None,
            look_every: Duration::from_secs(60),
            clock: Clock::system(),
        }
    }

    pub(super) fn judge(&self) -> Result<(), AcmeFault> {
        let https = |uri: &http::Uri| uri.scheme_str() == Some("https") && uri.host().is_some();
        if !self.directory.parse().is_ok_and(|uri| https(&uri)) {
            return Err(AcmeFault::Directory(self.directory.clone()));
        }
        if !self.terms_agreed {
            return Err(AcmeFault::Terms);
        }
        if self.folder.as_os_str().is_empty() {
            return Err(AcmeFault::NoFolder);
        }
        if self.challenges.is_empty() {
            return Err(AcmeFault::NoChallenge);
        }
        if !(0.05..=0.95).contains(&self.renew_before) {
            return Err(AcmeFault::RenewBefore(self.renew_before));
        }
        Ok(())
    }
}
