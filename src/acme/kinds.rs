//! Small choices.
use serde::Serialize;

/// How an authority sees that a name is ours.
///
/// `dns-01`, which wildcards need, is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Challenge {
    /// It asks over HTTP on port 80 (RFC 8555 §8.3); a [`ChallengeLayer`](super::ChallengeLayer) answers.
    #[serde(rename = "http-01")]
    Http01,
    /// It opens a TLS connection to port 443 (RFC 8737); the table of certificates answers.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// The kind of the keys of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyType {
    /// ECDSA over P-256, the default: a handshake costs a fraction of one with RSA.
    #[default]
    Ecdsa,
    /// RSA of 2048 bits, for clients that know nothing else.
    Rsa,
}
