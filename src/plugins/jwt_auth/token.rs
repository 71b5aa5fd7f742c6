//! Tokens in compact form (RFC 7515 §3.1), taken apart and not verified yet.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::JwtClaims;

/// A longer token is refused before anything of it is looked at (security.md AUTH-04).
const MAX_TOKEN: usize = 8 << 10;

/// What a token says.
pub(super) struct Token<'t> {
    header: Header,
    pub(super) claims: JwtClaims,
    /// The bytes that are signed.
    pub(super) message: &'t [u8],
    pub(super) signature: Vec<u8>,
}

/// What counts of the header. A name that stands there twice is refused by serde.
#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<IgnoredAny>,
}

impl<'t> Token<'t> {
    /// `None` for what is no token.
    pub(super) fn read(token: &'t [u8]) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let last = token.iter().rposition(|byte| *byte == b'.')?;
        let (message, signature) = (token.get(..last)?, token.get(last + 1..)?);
        let middle = message.iter().position(|byte| *byte == b'.')?;
        let (header, claims) = (message.get(..middle)?, message.get(middle + 1..)?);
        // A dot in one of the parts is none of the alphabet.
        Some(Self {
            header: serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?,
            claims: serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?,
            message,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// The algorithm that it says it is signed by.
    pub(super) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// Whether it names extensions that must be understood; none is.
    pub(super) fn is_critical(&self) -> bool {
        self.header.crit.is_some()
    }
}
