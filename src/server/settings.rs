//! From settings as written to a server's own values.
use std::time::Duration;

use super::{BindError, Limits, Listener, Protocols, ProxyProtocol, Rate};
use crate::http1::HeadLimits;
use crate::model;
#[cfg(feature = "tls")]
use crate::model::TlsVersion;
#[cfg(feature = "tls")]
use crate::tls::{Certificates, ServerTls, Versions};

impl From<&model::Limits> for Limits {
    fn from(limits: &model::Limits) -> Self {
        let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        let defaults = Self::default();
        Self {
            head: HeadLimits {
                request_line_bytes: size(limits.request_line_bytes),
                header_bytes: size(limits.header_bytes),
                field_bytes: size(limits.field_bytes),
                header_count: size(limits.header_count),
                ..defaults.head
            },
            handshake_timeout: Duration::from_millis(limits.tls_handshake_timeout_ms),
            head_timeout: limits.head_timeout(),
            body_timeout: limits.body_timeout(),
            body_rate: Rate {
                bytes_per_second: limits.body_min_bytes_per_second.into(),
                grace: Duration::from_millis(limits.body_rate_grace_ms),
            },
            write_timeout: limits.write_timeout(),
            write_rate: Rate {
                bytes_per_second: limits.write_min_bytes_per_second.into(),
                grace: Duration::from_millis(limits.write_rate_grace_ms),
            },
            idle_timeout: limits.idle_timeout(),
            request_timeout: limits.request_timeout(),
            requests_per_connection: u32::try_from(limits.max_requests_per_connection).unwrap_or(u32::MAX),
            connection_age: limits.max_connection_age(),
            max_connections: size(limits.max_connections),
            max_connections_per_ip: (limits.max_connections_per_client > 0)
                .then(|| size(limits.max_connections_per_client)),
            ..defaults
        }
    }
}

/// Without certificates, a listener with TLS is an error: it must not become one in clear text.
impl TryFrom<&model::ListenerSpec> for Listener {
    type Error = BindError;

    fn try_from(spec: &model::ListenerSpec) -> Result<Self, BindError> {
        match &spec.tls {
            Some(_) => Err(BindError::NoTls(spec.address.clone())),
            None => Ok(clear(spec)),
        }
    }
}

#[cfg(feature = "tls")]
impl Listener {
    /// What the settings say, with these certificates where there is TLS.
    pub fn from_spec(spec: &model::ListenerSpec, certificates: &Certificates) -> Self {
        let mut listener = clear(spec);
        listener.tls = spec.tls.as_ref().map(|options| {
            let mut tls = ServerTls::new(certificates.clone());
            tls.fallback_sni = options.fallback_sni.as_ref().map(ToString::to_string);
            tls.versions = versions(&options.ssl_protocols);
            tls
        });
        listener
    }
}

#[cfg(feature = "tls")]
fn versions(named: &[TlsVersion]) -> Versions {
    match (named.contains(&TlsVersion::V1_2), named.contains(&TlsVersion::V1_3)) {
        (true, false) => Versions::Only12,
        (false, true) => Versions::Only13,
        _ => Versions::Both,
    }
}

/// All but TLS.
fn clear(spec: &model::ListenerSpec) -> Listener {
    let protocols = match spec.speaks() {
        (true, true) => Protocols::Both,
        (false, true) => Protocols::H2,
        _ => Protocols::H1,
    };
    let mut listener = Listener::at(spec.address.clone()).with_protocols(protocols);
    listener.proxy_protocol = spec.proxy_protocol.as_ref().map(|options| {
        let mut proxy = ProxyProtocol::default().with_optional(options.optional);
        if !options.from.is_empty() {
            proxy.from = options.from.iter().map(|network| network.network()).collect();
        }
        proxy.with_timeout(Duration::from_millis(options.timeout_ms))
    });
    listener.socket.backlog = spec.backlog;
    listener.socket.reuse_port = spec.reuse_port;
    listener.socket.only_v6 = spec.ipv6_only;
    if let Some(mode) = spec.mode.as_deref().and_then(model::mode) {
        listener.socket.mode = mode;
    }
    listener.max_connections = spec.max_connections.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    listener.drain_when_removed = spec.drain_when_removed;
    listener
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_both_are_the_same() {
        let defaults = Limits::default();
        let mapped = Limits::from(&model::Limits::default());
        assert_eq!(format!("{mapped:?}"), format!("{defaults:?}"));
    }
}
