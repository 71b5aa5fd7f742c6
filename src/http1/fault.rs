//! What can be wrong with a message.
use http::StatusCode;

use crate::BodyError;

/// Why a request head is refused. The connection ends with the answer (H1-25).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// Not a request that can be read in one way only: 400.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// The request line is longer than the limit: 414.
    #[error("request line is over the limit")]
    LineTooLong,
    /// The fields are over a limit: 431.
    #[error("header section is over the limit")]
    HeadTooLarge,
    /// A method that is never routed, 405 or 501 (H1-22).
    #[error("method is refused")]
    Method(StatusCode),
    /// A version other than 1.0 and 1.1: 505.
    #[error("HTTP version is not spoken here")]
    Version,
    /// An `Expect` other than `100-continue`: 417 (H1-21).
    #[error("expectation is not known")]
    Expectation,
}

impl RequestFault {
    /// The status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::LineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Method(status) => *status,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
        }
    }
}

/// Why a response head is refused (UP-01, UP-02): 502, and the connection is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseFault {
    /// Not a response that can be read in one way only.
    #[error("malformed response: {0}")]
    Malformed(&'static str),
    /// The head is over a limit.
    #[error("response head is over the limit")]
    TooLarge,
}

/// Why a body cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyFault {
    /// The chunked coding is broken (H1-14, H1-15).
    #[error("malformed chunk: {0}")]
    Chunk(&'static str),
    /// Chunk extensions are over the limit (H1-16).
    #[error("chunk extensions are over the limit")]
    Extensions,
    /// A trailer is malformed.
    #[error("malformed trailer")]
    Trailer,
    /// The trailer section is over a limit.
    #[error("trailer section is over the limit")]
    TrailersTooLarge,
}

impl From<BodyFault> for BodyError {
    fn from(fault: BodyFault) -> Self {
        Self::Malformed(match fault {
            BodyFault::Chunk(what) => what,
            BodyFault::Extensions => "chunk extensions are over the limit",
            BodyFault::Trailer => "malformed trailer",
            BodyFault::TrailersTooLarge => "trailer section is over the limit",
        })
    }
}
