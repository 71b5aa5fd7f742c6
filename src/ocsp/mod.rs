//! OCSP stapling (RFC 6066 §8, RFC 6960): what an authority says of a certificate is shown in the handshake, so that
//! clients need not ask it, and it learns nothing of them.
//!
//! A [`Stapler`] sees to every pair of a [table](crate::tls::Certificates) whose certificate names a responder:
//!
//! 1. the responder is asked, over `http` or `https`, at the address that the certificate names and no other: redirects
//!    are not followed;
//! 2. the answer is judged: it has to be about this certificate, of this time, good, and signed by the issuer or by whom
//!    the issuer lets answer;
//! 3. it is shown from the next handshake on, and the next one is asked for when half of its time is over;
//! 4. whatever a responder does, or does not, what is shown stays until it is over, and a certificate without an answer is
//!    shown without one. A certificate that demands one (must-staple, RFC 7633) is warned of.
//!
//! The chain needs the issuer behind the certificate. An answer may take 5 s and 64 KiB. A certificate that was revoked is
//! warned of, and shown without an answer.
mod answer;
#[cfg(test)]
mod examples;
mod fault;
mod round;
mod stapler;
mod status;
mod subject;

pub use fault::OcspFault;
pub use stapler::Stapler;
pub use status::StapleStatus;
pub use subject::needs_staple;

pub use crate::wall::Clock;
