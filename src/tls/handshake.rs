//! How handshakes end.
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustls::{AlertDescription, Error, PeerIncompatible};

/// Why a handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeFault {
    /// The client went away.
    #[error("the client went away")]
    Gone,
    /// It took too long.
    #[error("it took too long")]
    Slow,
    /// It was too long.
    #[error("the client said too much")]
    Long,
    /// What the client says is no TLS, or breaks its rules.
    #[error("what the client says is no TLS")]
    Garbage,
    /// No version of TLS in common.
    #[error("no version of TLS in common")]
    Version,
    /// No protocol in common (ALPN).
    #[error("no protocol in common")]
    Protocol,
    /// No cipher suite, group or kind of signature in common.
    #[error("no cipher suite, group or kind of signature in common")]
    Parameters,
    /// No name was asked for, and none is there for such clients.
    #[error("no server name was asked for")]
    NoName,
    /// No certificate has the name.
    #[error("no certificate has the server name")]
    UnknownName,
    /// The client's certificate is missing or not valid.
    #[error("no valid certificate of the client")]
    ClientCertificate,
    /// The client ended it with an alert, as it does when it does not believe our certificate.
    #[error("the client refused it")]
    Refused,
    /// An authority has seen the certificate that it came for (TLS-ALPN-01).
    #[error("it was a challenge, and is answered")]
    Challenge,
    /// Anything else.
    #[error("it failed")]
    Other,
}

impl HandshakeFault {
    /// All there are, in the order of their counters.
    pub const ALL: [Self; 13] = [
        Self::Gone,
        Self::Slow,
        Self::Long,
        Self::Garbage,
        Self::Version,
        Self::Protocol,
        Self::Parameters,
        Self::NoName,
        Self::UnknownName,
        Self::ClientCertificate,
        Self::Refused,
        Self::Challenge,
        Self::Other,
    ];

    /// A word for metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Slow => "slow",
            Self::Long => "long",
            Self::Garbage => "garbage",
            Self::Version => "version",
            Self::Protocol => "protocol",
            Self::Parameters => "parameters",
            Self::NoName => "no_name",
            Self::UnknownName => "unknown_name",
            Self::ClientCertificate => "client_certificate",
            Self::Refused => "refused",
            Self::Challenge => "challenge",
            Self::Other => "other",
        }
    }

    /// What an error of a socket with TLS means.
    pub(crate) fn of(error: &io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return if error.kind() == io::ErrorKind::FileTooLarge { Self::Long } else { Self::Gone };
        };
        match error {
            Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => Self::Gone,
            Error::AlertReceived(_) => Self::Refused,
            Error::NoApplicationProtocol => Self::Protocol,
            Error::NoCertificatesPresented | Error::InvalidCertificate(_) => Self::ClientCertificate,
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls13RequiredForQuic,
            ) => Self::Version,
            Error::PeerIncompatible(_) => Self::Parameters,
            Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::DecryptError
            | Error::PeerSentOversizedRecord => Self::Garbage,
            _ => Self::Other,
        }
    }
}

/// How many handshakes ended how, since the table of certificates was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeCounts {
    /// Those that made a new session.
    pub full: u64,
    /// Those that resumed one.
    pub resumed: u64,
    failed: [u64; HandshakeFault::ALL.len()],
}

impl HandshakeCounts {
    /// Those that came to nothing for this reason.
    pub fn failed(&self, fault: HandshakeFault) -> u64 {
        self.failed.get(fault as usize).copied().unwrap_or_default()
    }

    /// All of them by a word for metrics: `full`, `resumed`, and the [words](HandshakeFault::word) of faults.
    pub fn by_result(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let failed = HandshakeFault::ALL.into_iter().map(|fault| (fault.word(), self.failed(fault)));
        [("full", self.full), ("resumed", self.resumed)].into_iter().chain(failed)
    }
}

/// [`HandshakeCounts`] that count.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    full: AtomicU64,
    resumed: AtomicU64,
    failed: [AtomicU64; HandshakeFault::ALL.len()],
    /// The second in which each reason was told of last.
    #[cfg(feature = "tracing")]
    told: [AtomicU64; HandshakeFault::ALL.len()],
}

impl Counters {
    pub(crate) fn succeeded(&self, resumed: bool) {
        if resumed { &self.resumed } else { &self.full }.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed(&self, fault: HandshakeFault) {
        if let Some(count) = self.failed.get(fault as usize) {
            let _total = count.fetch_add(1, Relaxed) + 1;
            #[cfg(feature = "tracing")]
            self.tell(fault, _total);
        }
    }

    /// One line a second for each reason: who floods us writes no log.
    #[cfg(feature = "tracing")]
    fn tell(&self, fault: HandshakeFault, total: u64) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let told = self.told.get(fault as usize).map(|told| told.swap(now, Relaxed));
        if fault != HandshakeFault::Challenge && told != Some(now) {
            tracing::info!(reason = fault.word(), total, "a TLS handshake failed: {fault}");
        }
    }

    pub(super) fn read(&self) -> HandshakeCounts {
        HandshakeCounts {
            full: self.full.load(Relaxed),
            resumed: self.resumed.load(Relaxed),
            failed: std::array::from_fn(|place| self.failed.get(place).map_or(0, |count| count.load(Relaxed))),
        }
    }
}
