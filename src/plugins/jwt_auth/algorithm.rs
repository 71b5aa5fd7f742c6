//! Algorithms of signatures (RFC 7518 §3.1, RFC 8037).
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, VerificationAlgorithm};
use serde::Deserialize;

/// How a consumer's tokens are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names are the RFC's")]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    HS256,
    HS384,
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    RS384,
    RS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// On P-384.
    ES384,
    /// On P-521.
    ES512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    PS384,
    PS512,
    /// Ed25519.
    EdDSA,
}

/// What verifies.
pub(super) enum Family {
    Secret(hmac::Algorithm),
    Rsa(&'static dyn VerificationAlgorithm),
    Curve(&'static dyn VerificationAlgorithm),
}

impl JwtAlgorithm {
    /// As in `alg`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::EdDSA => "EdDSA",
        }
    }

    pub(super) fn family(self) -> Family {
        match self {
            Self::HS256 => Family::Secret(hmac::HMAC_SHA256),
            Self::HS384 => Family::Secret(hmac::HMAC_SHA384),
            Self::HS512 => Family::Secret(hmac::HMAC_SHA512),
            Self::RS256 => Family::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Family::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Family::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Family::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Family::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Family::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Self::ES256 => Family::Curve(&signature::ECDSA_P256_SHA256_FIXED),
            Self::ES384 => Family::Curve(&signature::ECDSA_P384_SHA384_FIXED),
            Self::ES512 => Family::Curve(&signature::ECDSA_P521_SHA512_FIXED),
            Self::EdDSA => Family::Curve(&signature::ED25519),
        }
    }
}
