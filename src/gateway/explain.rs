//! Why a request is routed as it is.
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::Gateway;
use crate::error::Error;
use crate::router::Explanation;
use crate::{Body, ConnectInfo};

/// The routing decision for a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Explained {
    /// The request is refused: before any route is looked at, or for an encoded slash that no route keeps for it.
    Refused(Error),
    /// The candidates in order, each with the first condition that fails.
    Routed(Explanation),
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Error::BadRequest(reason)) => write!(f, "refused with 400: {reason}"),
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::Routed(explanation) => explanation.fmt(f),
        }
    }
}

impl Gateway {
    /// Tells how a request would be routed, without sending it anywhere.
    pub fn explain(&self, request: &http::Request<()>, client: Option<IpAddr>) -> Explained {
        let mut copy = http::Request::new(Body::empty());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        let info = client.map(|ip| ConnectInfo::new(SocketAddr::new(ip, 0)));
        match self.0.explain_route(&mut copy, info.as_ref()) {
            Ok(explanation) => Explained::Routed(explanation),
            Err(error) => Explained::Refused(error),
        }
    }
}
