//! Whom to ask, and how.
use std::net::SocketAddr;
use std::time::Duration;

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// Both; IPv4 is preferred. The default.
    #[default]
    Both,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Settings of a [`DnsResolver`](super::DnsResolver).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// Name servers, in the order in which they are asked. Default none: those of the system (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
    /// How long one server may take for one question, repeated over UDP and then over TCP as it needs. Above zero; default
    /// 2 s.
    pub timeout: Duration,
    /// How often all servers are gone through before the look-up has failed. At least 1; default 2.
    pub attempts: u32,
    /// Which addresses are looked up. Default both.
    pub family: AddressFamily,
    /// Whether the search domains of the system are tried (`search` and `ndots` of `/etc/resolv.conf`). Default `false`:
    /// each name is whole.
    pub search: bool,
    /// Whether the system's hosts file is looked at first. Default `true`.
    pub hosts_file: bool,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            attempts: 2,
            family: AddressFamily::default(),
            search: false,
            hosts_file: true,
        }
    }
}
