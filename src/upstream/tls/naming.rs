//! Which name an endpoint is asked for, and has to prove.
use rustls::pki_types::ServerName;

use super::super::config::PassHost;
use super::config::{TlsConfig, TlsFault};

/// The name of an endpoint's certificate (upstream.md §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Naming {
    /// Always this one.
    Fixed(ServerName<'static>),
    /// The host that is sent, without its port; this one, an address, when that is no name.
    Host(ServerName<'static>),
}

impl Naming {
    /// For the node `host`, in lower case and without brackets.
    ///
    /// # Errors
    /// When the name that is configured cannot be one.
    pub(crate) fn new(config: &TlsConfig, pass_host: &PassHost, host: &str) -> Result<Self, TlsFault> {
        let node = || name(host).ok_or_else(|| TlsFault::new("sni", "is needed: the node's name is none for TLS"));
        if let Some(sni) = &config.sni {
            return name(sni).map(Self::Fixed).ok_or_else(|| TlsFault::new("sni", "is neither a name nor an address"));
        }
        match pass_host {
            PassHost::Rewrite(host) => {
                let name = host.to_str().ok().and_then(name);
                name.map(Self::Fixed)
                    .ok_or_else(|| TlsFault::new("sni", "is needed: `upstream_host` is no name for TLS"))
            }
            PassHost::Node => node().map(Self::Fixed),
            // A node that has a name is asked for that: the client's host need not be one that it has a certificate for.
            PassHost::Pass => Ok(match node()? {
                name @ ServerName::IpAddress(_) => Self::Host(name),
                name => Self::Fixed(name),
            }),
        }
    }

    /// What tells connections to the endpoint apart when `host` is what it is sent: nothing, or the name that is asked for.
    pub(crate) fn label<'h>(&self, host: &'h str) -> Option<&'h str> {
        match self {
            Self::Fixed(_) => None,
            Self::Host(_) => Some(without_port(host)).filter(|host| ServerName::try_from(*host).is_ok()),
        }
    }

    /// The name to ask for.
    pub(crate) fn name(&self, label: Option<&str>) -> ServerName<'static> {
        match self {
            Self::Fixed(name) => name.clone(),
            Self::Host(address) => label.and_then(name).unwrap_or_else(|| address.clone()),
        }
    }
}

/// A host as TLS names it, in lower case.
pub(super) fn name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(without_port(host).to_ascii_lowercase()).ok()
}

/// The host, without the brackets around an IPv6 address.
fn without_port(host: &str) -> &str {
    let host = match host.rsplit_once(':') {
        Some((name, _)) if name.ends_with(']') || !name.contains(':') => name,
        _ => host,
    };
    host.trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_name_is_that_of_the_sni_field_or_follows_the_host() {
        let plain = TlsConfig::default();
        let named = TlsConfig { sni: Some(String::from("S.test")), ..TlsConfig::default() };
        let rewrite = PassHost::Rewrite(HeaderValue::from_static("R.test:8443"));
        let asked = |config: &TlsConfig, pass_host: &PassHost, node: &str, host: &str| {
            let naming = Naming::new(config, pass_host, node).unwrap();
            naming.name(naming.label(host)).to_str().into_owned()
        };
        for (config, pass_host, node, host, name) in [
            (&named, &PassHost::Pass, "n.test", "c.test", "s.test"),
            (&named, &rewrite, "10.0.0.1", "c.test", "s.test"),
            (&plain, &rewrite, "n.test", "c.test", "r.test"),
            (&plain, &PassHost::Node, "n.test", "c.test", "n.test"),
            (&plain, &PassHost::Node, "10.0.0.1", "c.test", "10.0.0.1"),
            (&plain, &PassHost::Pass, "n.test", "c.test", "n.test"),
            (&plain, &PassHost::Pass, "10.0.0.1", "C.test:8443", "c.test"),
            (&plain, &PassHost::Pass, "10.0.0.1", "c.test", "c.test"),
            (&plain, &PassHost::Pass, "10.0.0.1", "a b", "10.0.0.1"),
            (&plain, &PassHost::Pass, "2001:db8::1", "[2001:db8::2]:443", "2001:db8::2"),
            (&plain, &PassHost::Pass, "2001:db8::1", "[2001:db8::2]", "2001:db8::2"),
        ] {
            assert_eq!(asked(config, pass_host, node, host), name, "{pass_host:?} {node} {host}");
        }
        let address = Naming::new(&plain, &PassHost::Pass, "10.0.0.1").unwrap();
        assert_eq!(address.name(None).to_str(), "10.0.0.1");
        let bad = TlsConfig { sni: Some(String::from("a b")), ..TlsConfig::default() };
        assert_eq!(Naming::new(&bad, &PassHost::Pass, "n.test").unwrap_err().field, "sni");
    }
}
