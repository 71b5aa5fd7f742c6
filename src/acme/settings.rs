//! From the settings of a gateway.
use super::{Challenge, Issuer, IssuerBuilder, KeyType};
use crate::model::{AcmeChallenge, AcmeKeyType, AcmeSettings};

/// The issuer that `tollgate.acme` describes. The key of its account binding is taken as it is written: whoever may have
/// a reference there resolves it first.
impl From<&AcmeSettings> for IssuerBuilder {
    fn from(settings: &AcmeSettings) -> Self {
        let challenges = settings.challenges.iter().map(|challenge| match challenge {
            AcmeChallenge::Http01 => Challenge::Http01,
            AcmeChallenge::TlsAlpn01 => Challenge::TlsAlpn01,
        });
        let mut builder = Issuer::builder(&settings.directory)
            .folder(&settings.folder)
            .terms_agreed(settings.terms_agreed)
            .challenges(challenges)
            .renew_before(settings.renew_before)
            .key_type(match settings.key_type {
                AcmeKeyType::Ecdsa => KeyType::Ecdsa,
                AcmeKeyType::Rsa => KeyType::Rsa,
            });
        for uri in &settings.contact {
            builder = builder.contact(uri);
        }
        if let Some(pem) = &settings.ca {
            builder = builder.ca(pem);
        }
        if let Some(eab) = &settings.eab {
            builder = builder.eab(&eab.kid, eab.key.expose());
        }
        if let Some(profile) = &settings.profile {
            builder = builder.profile(profile);
        }
        builder
    }
}
