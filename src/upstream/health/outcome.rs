//! How attempts and probes end, and what that says of an endpoint.
use http::StatusCode;

use super::super::error::Error;
use super::machine::Report;
use super::statuses::Statuses;

/// How one attempt at an endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered. Statuses of our own making never come here.
    Status(StatusCode),
    /// What it answered is not HTTP.
    Malformed,
    /// No connection, or one that broke before the answer.
    Broken,
    /// It took too long.
    Timeout,
}

impl Outcome {
    /// The outcome of an attempt; `None` when its end was nothing of the endpoint's.
    pub(crate) fn of(ended: Result<StatusCode, &Error>) -> Option<Self> {
        Some(match ended {
            Ok(status) => Self::Status(status),
            Err(Error::Malformed { .. }) => Self::Malformed,
            Err(
                Error::ConnectTimeout { .. }
                | Error::TlsTimeout { .. }
                | Error::SendTimeout { .. }
                | Error::ReadTimeout { .. },
            ) => Self::Timeout,
            Err(
                Error::Connect { .. }
                | Error::Tls { .. }
                | Error::Closed { .. }
                | Error::Http2 { .. }
                | Error::Panicked { .. },
            ) => Self::Broken,
            Err(_) => return None,
        })
    }

    /// What it says under these lists; the first one goes before the second (upstream.md §7.2).
    pub(super) fn report(self, healthy: &Statuses, unhealthy: &Statuses) -> Option<Report> {
        match self {
            Self::Status(status) if healthy.contains(status) => Some(Report::Success),
            Self::Status(status) if unhealthy.contains(status) => Some(Report::HttpFailure),
            Self::Status(_) => None,
            Self::Malformed => Some(Report::HttpFailure),
            Self::Broken => Some(Report::TcpFailure),
            Self::Timeout => Some(Report::Timeout),
        }
    }

    /// Whether outlier detection counts it as a failure.
    pub(super) fn is_failure(self) -> bool {
        !matches!(self, Self::Status(status) if !status.is_server_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BodyError;

    #[test]
    fn the_healthy_list_goes_first() {
        let (healthy, unhealthy) = (Statuses::from_iter([200, 500]), Statuses::from_iter([500, 503]));
        let says = |code| Outcome::Status(StatusCode::from_u16(code).unwrap()).report(&healthy, &unhealthy);
        let (well, ill) = (Some(Report::Success), Some(Report::HttpFailure));
        assert_eq!([200, 500, 503, 404].map(says), [well, well, ill, None]);
        assert_eq!(Outcome::Malformed.report(&healthy, &unhealthy), ill);
    }

    #[test]
    fn what_is_the_clients_fault_or_ours_is_no_outcome() {
        assert_eq!(Outcome::of(Err(&Error::RequestBody(BodyError::Timeout))), None);
        assert_eq!(Outcome::of(Err(&Error::ReadTimeout { endpoint: "a".into() })), Some(Outcome::Timeout));
        assert_eq!(Outcome::of(Err(&Error::Closed { endpoint: "a".into(), source: None })), Some(Outcome::Broken));
        assert_eq!(Outcome::of(Ok(StatusCode::OK)), Some(Outcome::Status(StatusCode::OK)));
    }
}
