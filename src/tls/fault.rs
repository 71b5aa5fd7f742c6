//! What is wrong with a certificate.
/// Why a certificate is refused. Messages hold nothing of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// No certificate stands in the PEM, or one that cannot be read.
    #[error("is no chain of certificates in PEM: {0}")]
    Chain(String),
    /// The first certificate of the chain is over.
    #[error("has expired: {0}")]
    Expired(String),
    /// No private key stands in the PEM, or one that cannot be used.
    #[error("is no private key in PEM that can be used: {0}")]
    Key(String),
    /// The key is not that of the certificate.
    #[error("does not belong to the certificate")]
    Mismatch,
    /// It has no server name.
    #[error("has no server name")]
    NoName,
    /// A name that no client asks for.
    #[error("`{0}` is no server name")]
    Name(String),
    /// It has no chain, and none is to be issued.
    #[error("has no certificate")]
    NoPair,
    /// What certificates of clients are verified against.
    #[error("is no certificate in PEM to verify clients against: {0}")]
    ClientCa(String),
    /// A pattern of paths.
    #[error("is no regular expression: {0}")]
    Pattern(String),
}

/// The part of a certificate that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The chain.
    Chain,
    /// The private key.
    Key,
    /// The server names.
    Names,
    /// What clients are verified against.
    ClientCa,
    /// The paths that are exempt.
    ClientPaths,
}

impl CertificateFault {
    /// Which part is at fault.
    pub fn part(&self) -> Part {
        match self {
            Self::Chain(_) | Self::Expired(_) | Self::NoPair => Part::Chain,
            Self::Key(_) | Self::Mismatch => Part::Key,
            Self::NoName | Self::Name(_) => Part::Names,
            Self::ClientCa(_) => Part::ClientCa,
            Self::Pattern(_) => Part::ClientPaths,
        }
    }

    /// What mends it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Chain(_) => "write the certificate first, then those that lead to its root, as PEM",
            Self::Expired(_) => "renew it",
            Self::Key(_) => "write the key as PEM (PKCS #8, PKCS #1 or SEC 1), without a password",
            Self::Mismatch => "write the key that the certificate was made for",
            Self::NoName => "write the names that clients ask for",
            Self::Name(_) => {
                "write a name as clients send it (`a.example.com`, `xn--…`), `*.` and a name for one label more, or `*`"
            }
            Self::NoPair => "write a certificate and its key",
            Self::ClientCa(_) => "write the certificates of the authorities as PEM",
            Self::Pattern(_) => "write a regular expression over paths, such as `^/health$`",
        }
    }
}
