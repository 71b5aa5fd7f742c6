//! Why there is no issuer, and why there is no certificate.
use std::io;
use std::time::Duration;

use http::StatusCode;

use super::wire::{Answered, is_busy};

/// What is wrong with what an issuer was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcmeFault {
    /// The address of the authority's directory.
    #[error("`{0}` is no `https` address of an ACME directory")]
    Directory(String),
    /// The authority's terms of service.
    #[error("the terms of service of the authority have to be agreed to")]
    Terms,
    /// No folder is named.
    #[error("a folder to keep the certificates in is needed")]
    NoFolder,
    /// No challenge is allowed.
    #[error("at least one kind of challenge is needed")]
    NoChallenge,
    /// The share of a life that is left when a certificate is renewed.
    #[error("certificates are renewed when 0.05 to 0.95 of their life is left, not {0}")]
    RenewBefore(f64),
    /// What the directory's server is verified against.
    #[error("the certificate to verify the directory's server against {0}")]
    Roots(String),
    /// The key of the external account binding.
    #[error("the key of the external account binding is no base64url")]
    Binding,
    /// The folder cannot be used.
    #[error("the folder {path} cannot be used: {source}")]
    Folder {
        /// Where it is.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Why an order failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) text: String,
    /// How long the authority wants to be left alone.
    pub(super) asked: Option<Duration>,
    pub(super) kind: RefusalKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalKind {
    Other,
    /// The authority turns away who comes too often, or all.
    Busy,
    /// The authority does not know the account.
    NoAccount,
    /// The certificate that the order is to replace has been replaced.
    Replaced,
    /// The authority has no such feature.
    Unsupported,
}

impl Refusal {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), asked: None, kind: RefusalKind::Other }
    }

    pub(super) fn io(what: &str, error: &io::Error) -> Self {
        Self::new(format!("{what}: {error}"))
    }
}

impl From<instant_acme::Error> for Refusal {
    fn from(error: instant_acme::Error) -> Self {
        let is_told =
            |status: Option<u16>| status.and_then(|status| StatusCode::from_u16(status).ok()).is_some_and(is_busy);
        let kind = match &error {
            instant_acme::Error::Api(problem) => match problem.r#type.as_deref() {
                Some("urn:ietf:params:acme:error:accountDoesNotExist") => RefusalKind::NoAccount,
                Some("urn:ietf:params:acme:error:alreadyReplaced") => RefusalKind::Replaced,
                Some("urn:ietf:params:acme:error:rateLimited") => RefusalKind::Busy,
                _ if is_told(problem.status) => RefusalKind::Busy,
                _ => RefusalKind::Other,
            },
            instant_acme::Error::Unsupported(_) => RefusalKind::Unsupported,
            instant_acme::Error::Other(error) => match error.downcast_ref::<Answered>() {
                Some(Answered(status)) if is_busy(*status) => RefusalKind::Busy,
                _ => RefusalKind::Other,
            },
            _ => RefusalKind::Other,
        };
        Self { kind, ..Self::new(error.to_string()) }
    }
}
