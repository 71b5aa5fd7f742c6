//! What can go wrong with a call.
use std::time::Duration;

use crate::BoxError;

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalloutError {
    /// No whole answer within the time allowed.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// As many calls to the service as may be were under way for all of that time: it is overloaded, or hangs.
    #[error("no call could begin within {} ms, since so many are under way", .0.as_millis())]
    Busy(Duration),
    /// No connection: the name is unknown, the port closed, the certificate not trusted.
    #[error("cannot connect")]
    Connect(#[source] BoxError),
    /// The body of the answer is longer than `max_body`.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// What came is no HTTP answer.
    #[error("the answer is malformed")]
    Malformed(#[source] BoxError),
    /// The exchange broke off.
    #[error("the exchange failed")]
    Exchange(#[source] BoxError),
    /// `https` is not part of this build.
    #[error("https needs the feature `tls`")]
    NoTls,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] BoxError),
}
