//! Verification of signed tokens (RFC 7519, RFC 8725).
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::{Map, Value};

use super::keys::Key;
use crate::plugins::browser::unix_now;

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// Why a token is refused. The texts go to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenFault {
    #[error("the token is too long")]
    TooLong,
    #[error("the token is malformed")]
    Malformed,
    #[error("the algorithm of the token is not accepted")]
    Algorithm,
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    #[error("the signature of the token is wrong")]
    Signature,
    #[error("the token is expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token was issued by somebody else")]
    Issuer,
    #[error("the token is for somebody else")]
    Audience,
    #[error("the token is of another log-in")]
    Nonce,
    #[error("a claim of the token is missing or wrong")]
    Claims,
    #[error("the token is not active")]
    Inactive,
    #[error("the token cannot be verified now")]
    Unavailable,
}

/// Which tokens are accepted, beside what their key says.
#[derive(Clone, Debug)]
pub(super) struct Acceptance {
    /// Algorithms; none: all that the key is for.
    pub(super) algorithms: Option<Vec<Algorithm>>,
    /// Tolerance in seconds for `iat`, and up to [`Acceptance::MAX_SKEW`] of it for `exp` and `nbf`.
    pub(super) slack: u64,
}

impl Acceptance {
    /// Most seconds of tolerance for `exp` and `nbf` (security.md AUTH-04).
    const MAX_SKEW: u64 = 60;

    /// Reads the header of a token: `kid` and algorithm choose the key, all else that it may say of keys (`jku`, `x5u`,
    /// `jwk`, `x5c`) is not looked at. A token with `crit` asks for what is not understood here.
    pub(super) fn header(&self, token: &str) -> Result<Header, TokenFault> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| fault(error.kind()))?;
        if header.crit.is_some() {
            return Err(TokenFault::Malformed);
        }
        let accepted = self.algorithms.as_ref().is_none_or(|accepted| accepted.contains(&header.alg));
        if accepted { Ok(header) } else { Err(TokenFault::Algorithm) }
    }

    /// The claims of a token, with its signature, `exp` (which must be there), `nbf` and `iat` verified.
    pub(super) fn claims(&self, token: &str, header: &Header, key: &Key) -> Result<Claims, TokenFault> {
        if !key.takes(header.alg) {
            return Err(TokenFault::Algorithm);
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.slack.min(Self::MAX_SKEW);
        validation.validate_nbf = true;
        // judged where it is known who is meant
        validation.validate_aud = false;
        let token =
            jsonwebtoken::decode::<Claims>(token, &key.key, &validation).map_err(|error| fault(error.kind()))?;
        match token.claims.get("iat").map(Value::as_f64) {
            None => Ok(token.claims),
            #[expect(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
            Some(Some(issued)) if issued <= (unix_now() + self.slack) as f64 => Ok(token.claims),
            Some(Some(_)) => Err(TokenFault::NotYet),
            Some(None) => Err(TokenFault::Claims),
        }
    }
}

fn fault(kind: &ErrorKind) -> TokenFault {
    match kind {
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            TokenFault::Algorithm
        }
        ErrorKind::InvalidSignature | ErrorKind::InvalidKeyFormat => TokenFault::Signature,
        ErrorKind::ExpiredSignature => TokenFault::Expired,
        ErrorKind::ImmatureSignature => TokenFault::NotYet,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => TokenFault::Claims,
        _ => TokenFault::Malformed,
    }
}
