//! How a service is called, as blocks of several plugins write it.
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::Uri;

use super::{Callout, CalloutConfig, Callouts};
use crate::plugin::{Caveat, ConfigError};
use crate::plugins::checks::within;

/// The fields of a block that say how its service is called: `timeout`, `keepalive`, `keepalive_timeout`,
/// `keepalive_pool` and `ssl_verify`. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calling {
    pub(crate) timeout: u64,
    pub(crate) keepalive: bool,
    pub(crate) keepalive_timeout: u64,
    pub(crate) keepalive_pool: usize,
    pub(crate) ssl_verify: bool,
}

impl Calling {
    /// Whether the fields are what they may be.
    ///
    /// # Errors
    /// The field that is out of its range; the one of `timeout` depends on the plugin.
    pub(crate) fn judge(self, plugin: &'static str, timeout: RangeInclusive<u64>) -> Result<(), ConfigError> {
        let most = u64::from(u32::MAX);
        within(plugin, "timeout", self.timeout, timeout)?;
        within(plugin, "keepalive_timeout", self.keepalive_timeout, 1000..=most)?;
        within(plugin, "keepalive_pool", self.keepalive_pool as u64, 1..=most)
    }

    /// The client of these fields, one of the plugin's.
    ///
    /// # Errors
    /// As [`Calling::judge`].
    pub(crate) fn client(
        self,
        plugin: &'static str,
        timeout: RangeInclusive<u64>,
        callouts: &Callouts,
    ) -> Result<Callout, ConfigError> {
        self.judge(plugin, timeout)?;
        let config = CalloutConfig {
            timeout: Duration::from_millis(self.timeout),
            keepalive: self.keepalive,
            keepalive_timeout: Duration::from_millis(self.keepalive_timeout),
            keepalive_pool: self.keepalive_pool,
            ssl_verify: self.ssl_verify,
            ..CalloutConfig::default()
        };
        callouts.get(&config).map_err(|error| ConfigError::invalid(plugin, "ssl_verify", error.to_string()))
    }
}

/// The doubt about a block that believes any certificate; `what` is what others can then answer for.
pub(crate) fn unverified(ssl_verify: bool, what: &str) -> Option<Caveat> {
    (!ssl_verify).then(|| {
        let message = format!("is off: whoever is on the way can answer for the {what}");
        Caveat::new("ssl_verify", message, "leave it out, and give the system the root certificate")
    })
}

/// The doubt about a service that is asked without TLS, unless it is on this machine; `what` is what is told it.
pub(crate) fn in_clear(field: &str, uri: &str, what: &str) -> Option<Caveat> {
    let uri: Uri = uri.parse().ok()?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    (uri.scheme_str() == Some("http") && !is_here).then(|| {
        let message = format!("is asked without TLS: whoever is on the way reads {what}, and can answer in its place");
        Caveat::new(field, message, "write an `https` URL")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_out_of_range_are_named() {
        let good =
            Calling { timeout: 3000, keepalive: true, keepalive_timeout: 60_000, keepalive_pool: 5, ssl_verify: true };
        let callouts = Callouts::default();
        assert!(good.client("p", 1..=60_000, &callouts).is_ok());
        for (calling, field) in [
            (Calling { timeout: 0, ..good }, "timeout"),
            (Calling { timeout: 60_001, ..good }, "timeout"),
            (Calling { keepalive_timeout: 999, ..good }, "keepalive_timeout"),
            (Calling { keepalive_pool: 0, ..good }, "keepalive_pool"),
        ] {
            let error = calling.client("p", 1..=60_000, &callouts).unwrap_err();
            assert_eq!(error.field(), field);
            assert!(error.reason().contains("is out of range: write "), "{error}");
        }
        for (uri, is_doubted) in [
            ("http://opa.test:8181", true),
            ("http://10.0.0.1/x", true),
            ("http://[2001:db8::1]", true),
            ("https://opa.test", false),
            ("http://127.0.0.1:8181", false),
            ("http://[::1]:8181", false),
            ("http://localhost", false),
            ("", false),
        ] {
            assert_eq!(in_clear("host", uri, "it").is_some(), is_doubted, "{uri}");
        }
        assert!(unverified(true, "service").is_none());
        assert_eq!(unverified(false, "service").unwrap().field, "ssl_verify");
    }
}
