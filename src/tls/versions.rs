//! Which versions of TLS are spoken.
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

/// Versions of TLS. There are no others than 1.2 and 1.3 (security.md TLS-01).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Versions {
    /// TLS 1.2 and 1.3, the default.
    #[default]
    Both,
    /// TLS 1.2 alone.
    Only12,
    /// TLS 1.3 alone.
    Only13,
}

impl Versions {
    /// Those that both allow; `None` if that is none at all.
    pub fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Both, one) | (one, Self::Both) => Some(one),
            (one, same) if one == same => Some(one),
            _ => None,
        }
    }

    /// As rustls names them.
    pub(crate) fn supported(self) -> &'static [&'static SupportedProtocolVersion] {
        const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        const ONLY_12: &[&SupportedProtocolVersion] = &[&TLS12];
        const ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];
        match self {
            Self::Both => BOTH,
            Self::Only12 => ONLY_12,
            Self::Only13 => ONLY_13,
        }
    }
}
