//! From settings as written to a server's own values.
use std::time::Duration;

use super::{Limits, Listener, Protocols, Rate};
use crate::http1::HeadLimits;
use crate::model;

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

impl From<&model::ListenerSpec> for Listener {
    fn from(spec: &model::ListenerSpec) -> Self {
        let speaks = |protocol| spec.protocols.contains(&protocol);
        let protocols = match (speaks(model::Protocol::H1), speaks(model::Protocol::H2c)) {
            (true, true) => Protocols::Both,
            (false, true) => Protocols::H2,
            _ => Protocols::H1,
        };
        Self::at(spec.address.clone()).with_protocols(protocols)
    }
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
