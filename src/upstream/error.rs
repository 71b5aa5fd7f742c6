//! Why a request got no response from an upstream, and why an upstream could not be built.
use std::io;
use std::sync::Arc;

use http::StatusCode;

use super::config::{Scheme, UpstreamKey};
use crate::BodyError;

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client: its body did not come, or came malformed.
    Client,
    /// The gateway, or how it is configured.
    Gateway,
    /// The endpoint.
    Upstream,
}

/// Why a request got no response. [`crate::Error`] is made out of it once, at the end of the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No node at all (503).
    #[error("{upstream} has no endpoint; add a node")]
    NoEndpoint {
        /// The upstream.
        upstream: UpstreamKey,
    },
    /// No node that is usable, and `panic_threshold` is 0 (503).
    #[error("{upstream} has no usable endpoint")]
    NoneUsable {
        /// The upstream.
        upstream: UpstreamKey,
    },
    /// The name of an endpoint has no address (503).
    #[error("{endpoint} does not resolve")]
    Resolve {
        /// The endpoint.
        endpoint: Arc<str>,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// Too many requests at once, and too many or too long waiting (503).
    #[error("{upstream} serves as many requests as it may")]
    Overloaded {
        /// The upstream.
        upstream: UpstreamKey,
        /// Whether it waited for its turn before.
        waited: bool,
    },
    /// No connection (502).
    #[error("connect to {endpoint} failed")]
    Connect {
        /// The endpoint.
        endpoint: Arc<str>,
        /// What the last address tried said.
        #[source]
        source: io::Error,
    },
    /// No connection in time (504).
    #[error("connect to {endpoint} took too long")]
    ConnectTimeout {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// No TLS on the connection: the endpoint is not believed, does not believe us, or does not speak it (502).
    #[error("TLS to {endpoint} failed")]
    Tls {
        /// The endpoint.
        endpoint: Arc<str>,
        /// What TLS or the socket said.
        #[source]
        source: io::Error,
    },
    /// As [`Tls`](Self::Tls), under a name that the request chose. It says nothing of the endpoint, for clients could choose
    /// names that it has no certificate for.
    #[error("TLS to {endpoint} failed under the name that the request has")]
    TlsOfHost {
        /// The endpoint.
        endpoint: Arc<str>,
        /// What TLS or the socket said.
        #[source]
        source: io::Error,
    },
    /// No TLS on the connection in time (504).
    #[error("TLS to {endpoint} took too long")]
    TlsTimeout {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// The endpoint stopped taking the request (504).
    #[error("{endpoint} stopped reading the request")]
    SendTimeout {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// No whole response head in time (504).
    #[error("{endpoint} did not answer in time")]
    ReadTimeout {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// The connection ended before the response head did (502).
    #[error("{endpoint} closed the connection before it answered")]
    Closed {
        /// The endpoint.
        endpoint: Arc<str>,
        /// What the socket said; `None` is an orderly close.
        #[source]
        source: Option<io::Error>,
    },
    /// The answer breaks the rules of HTTP (502; security.md UP-01, UP-02, UPG-04).
    #[error("{endpoint} sent a malformed response: {reason}")]
    Malformed {
        /// The endpoint.
        endpoint: Arc<str>,
        /// The rule that was broken.
        reason: &'static str,
    },
    /// HTTP/2 failed (502).
    #[error("HTTP/2 to {endpoint} failed")]
    Http2 {
        /// The endpoint.
        endpoint: Arc<str>,
        /// What h2 said, or what was wrong with the request.
        #[source]
        source: crate::BoxError,
    },
    /// As many connections as there may be, and none ended in time (503).
    #[error("{upstream} has as many connections as it may")]
    Connections {
        /// The upstream.
        upstream: UpstreamKey,
    },
    /// The request took as long as it may in all, or as the caller of a gRPC method waits (504).
    #[error("{upstream} did not answer within the time of the request")]
    Deadline {
        /// The upstream.
        upstream: UpstreamKey,
    },
    /// The client's body failed while it was sent on.
    #[error("the request body failed")]
    RequestBody(#[source] BodyError),
    /// An in-process endpoint panicked (500).
    #[error("{endpoint} panicked")]
    Panicked {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// Every endpoint was tried (502; upstream.md §4).
    #[error("every endpoint was tried")]
    Exhausted {
        /// How the last attempt ended.
        #[source]
        last: Box<Error>,
    },
    /// Too late for another attempt (502; upstream.md §4, `retry_timeout`).
    #[error("too late for another attempt")]
    RetryDeadline {
        /// How the last attempt ended.
        #[source]
        last: Box<Error>,
    },
}

impl Error {
    /// Who is to blame.
    pub fn side(&self) -> Side {
        match self {
            Self::RequestBody(_) => Side::Client,
            Self::NoEndpoint { .. } | Self::Overloaded { .. } | Self::Connections { .. } | Self::Panicked { .. } => {
                Side::Gateway
            }
            Self::Exhausted { last } | Self::RetryDeadline { last } => last.side(),
            _ => Side::Upstream,
        }
    }

    /// Whether another endpoint may do better. Whether the *request* may be sent again is another question (RET-01).
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. }
                | Self::Connect { .. }
                | Self::ConnectTimeout { .. }
                | Self::Tls { .. }
                | Self::TlsOfHost { .. }
                | Self::TlsTimeout { .. }
                | Self::SendTimeout { .. }
                | Self::ReadTimeout { .. }
                | Self::Closed { .. }
                | Self::Http2 { .. }
        )
    }

    /// The status a client gets.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoEndpoint { .. }
            | Self::NoneUsable { .. }
            | Self::Resolve { .. }
            | Self::Overloaded { .. }
            | Self::Connections { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::ConnectTimeout { .. }
            | Self::TlsTimeout { .. }
            | Self::SendTimeout { .. }
            | Self::ReadTimeout { .. }
            | Self::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestBody(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestBody(BodyError::Timeout) => StatusCode::REQUEST_TIMEOUT,
            Self::RequestBody(_) => StatusCode::BAD_REQUEST,
            Self::Panicked { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// A stable, machine-readable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoEndpoint { .. } => "no_endpoint",
            Self::NoneUsable { .. } => "no_usable_endpoint",
            Self::Resolve { .. } => "resolve_failed",
            Self::Overloaded { waited: false, .. } => "upstream_overloaded",
            Self::Overloaded { waited: true, .. } => "upstream_queue_timeout",
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => "connect_refused",
            Self::Connect { .. } => "connect_failed",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::Tls { source, .. } | Self::TlsOfHost { source, .. } => super::tls::reason(source),
            Self::TlsTimeout { .. } => "tls_timeout",
            Self::SendTimeout { .. } => "send_timeout",
            Self::ReadTimeout { .. } => "read_timeout",
            Self::Closed { .. } => "closed_before_response",
            Self::Malformed { .. } => "malformed_response",
            Self::Http2 { .. } => "http2_failed",
            Self::Connections { .. } => "upstream_connections",
            Self::Deadline { .. } => "upstream_deadline",
            Self::RequestBody(_) => "request_body_failed",
            Self::Panicked { .. } => "endpoint_panicked",
            Self::Exhausted { .. } => "endpoints_exhausted",
            Self::RetryDeadline { .. } => "retry_deadline",
        }
    }

    /// Seconds for `Retry-After`, with a 503.
    fn retry_after(&self) -> Option<u32> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::RequestBody(BodyError::TooLarge { .. }) => Self::BodyTooLarge,
            Error::RequestBody(BodyError::Timeout) => Self::RequestTimeout,
            Error::RequestBody(_) => Self::BadRequest("the body failed"),
            Error::Panicked { .. } => Self::Internal("endpoint_panicked"),
            other => {
                Self::Upstream { status: other.status(), reason: other.reason(), retry_after: other.retry_after() }
            }
        }
    }
}

/// Why an upstream could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamBuildError {
    /// The scheme is not there in this build.
    #[error("{upstream}: scheme {scheme:?} needs {needs}")]
    SchemeUnsupported {
        /// The upstream.
        upstream: UpstreamKey,
        /// The scheme.
        scheme: Scheme,
        /// What would bring it.
        needs: &'static str,
    },
    /// The balancer's name is not registered.
    #[error("{upstream}: unknown balancer `{name}`; register it, or use roundrobin, chash, least_conn or ewma")]
    UnknownBalancer {
        /// The upstream.
        upstream: UpstreamKey,
        /// The name.
        name: String,
    },
    /// No in-process endpoint has that name.
    #[error("{upstream}: no in-process service `{name}`; register it in code before it is configured")]
    UnknownService {
        /// The upstream.
        upstream: UpstreamKey,
        /// The name.
        name: String,
    },
    /// A node stands twice in one priority.
    #[error("{upstream}: node `{node}` is there twice; give it one weight")]
    DuplicateNode {
        /// The upstream.
        upstream: UpstreamKey,
        /// The node.
        node: String,
    },
    /// A host that can be neither an address nor a name.
    #[error("{upstream}: `{host}` is no host")]
    BadHost {
        /// The upstream.
        upstream: UpstreamKey,
        /// The host.
        host: String,
    },
    /// Probes of a kind that is not there in this build.
    #[error("{upstream}: its probes need {needs}")]
    ProbeUnsupported {
        /// The upstream.
        upstream: UpstreamKey,
        /// What would bring it.
        needs: &'static str,
    },
    /// Certificates or keys that cannot be used, or a name that is none.
    #[error("{upstream}: `tls.{field}` {reason}")]
    Tls {
        /// The upstream.
        upstream: UpstreamKey,
        /// `ca`, `client_cert`, `client_key` or `sni`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// What cannot be part of a cookie.
    #[error("{upstream}: `{field}` cannot be part of a cookie")]
    BadCookie {
        /// The upstream.
        upstream: UpstreamKey,
        /// The field.
        field: &'static str,
    },
    /// Zero, or less, where more is needed.
    #[error("{upstream}: `{field}` must be above zero")]
    NotPositive {
        /// The upstream.
        upstream: UpstreamKey,
        /// The field.
        field: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IntoResponse as _;

    #[test]
    fn statuses_follow_the_table() {
        let endpoint: Arc<str> = "a:1".into();
        let refused = Error::Connect { endpoint: endpoint.clone(), source: io::ErrorKind::ConnectionRefused.into() };
        assert_eq!(
            (refused.status().as_u16(), refused.reason(), refused.side()),
            (502, "connect_refused", Side::Upstream)
        );
        let late = Error::ReadTimeout { endpoint };
        assert_eq!(late.status(), 504);
        let past = Error::RetryDeadline { last: Box::new(late) };
        assert_eq!((past.status().as_u16(), past.is_retryable()), (502, false));
        let busy = Error::Overloaded { upstream: UpstreamKey::new("upstream", "1"), waited: true };
        let response = crate::Error::from(busy).into_response();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    }
}
