//! Certificates from an ACME authority (RFC 8555) such as Let's Encrypt, ordered and renewed while the gateway runs.
//!
//! An [`Issuer`] sees to the certificates of a [table](crate::tls::Certificates) that are to be issued
//! ([`CertificateBuilder::issued`](crate::tls::CertificateBuilder::issued), `acme: true` in a configuration):
//!
//! 1. what the folder has is installed, and asks nobody: a restart orders nothing;
//! 2. what is missing, for other names, or has a third of its life left is ordered; the authority asks for a proof over
//!    TLS (tls-alpn-01, answered by the table) or over HTTP (http-01, answered by a [`ChallengeLayer`]);
//! 3. what comes is kept in the folder, and shown from the next handshake on; no connection is touched;
//! 4. what fails is tried again, after a minute at first and six hours at last, or as the authority says; what is in
//!    force stays so until it is over; [`Issuer::status`] and the log name the reason.
//!
//! Several gateways may share one folder, on whatever file system renames at once: a claim keeps them from ordering
//! twice, all answer challenges, and all use what one of them got. Nothing depends on the claim: whoever dies in the
//! midst of an order costs a quarter of a minute.
mod answers;
mod attend;
mod authority;
mod claim;
mod fault;
mod folder;
mod issuer;
mod item;
mod kinds;
mod layer;
mod options;
mod proofs;
mod schedule;
mod settings;
mod status;
mod wire;
mod work;

pub use fault::AcmeFault;
pub use issuer::{Issuer, IssuerBuilder};
pub use kinds::{Challenge, KeyType};
pub use layer::{ChallengeFuture, ChallengeLayer, Challenges};
pub use status::{ItemStatus, State, Status};

pub use crate::wall::Clock;
