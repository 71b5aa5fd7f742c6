//! Upstreams that would lead to a listener of ours (security.md ADM-03).
use std::net::{IpAddr, SocketAddr};

/// Whether `host` and `port` are where the Admin API listens: by its address, or by this machine's for one that listens on
/// all. Names are not looked up, but for `localhost`.
pub(super) fn is_listener(listener: SocketAddr, host: &str, port: u16) -> bool {
    if port != listener.port() {
        return false;
    }
    let (own, this_machine) = (listener.ip().to_canonical(), listener.ip().is_unspecified());
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match literal.parse::<IpAddr>() {
        Ok(address) => {
            let address = address.to_canonical();
            address == own
                || ((this_machine || own.is_loopback()) && (address.is_loopback() || address.is_unspecified()))
        }
        Err(_) => host.eq_ignore_ascii_case("localhost") && (this_machine || own.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_a_listener() {
        for (listener, host, port, expected) in [
            ("127.0.0.1:9180", "127.0.0.1", 9180, true),
            ("127.0.0.1:9180", "127.0.0.1", 9181, false),
            ("127.0.0.1:9180", "localhost", 9180, true),
            ("127.0.0.1:9180", "127.0.0.2", 9180, true),
            ("127.0.0.1:9180", "[::ffff:127.0.0.1]", 9180, true),
            ("127.0.0.1:9180", "0.0.0.0", 9180, true),
            ("127.0.0.1:9180", "10.0.0.1", 9180, false),
            ("0.0.0.0:9180", "localhost", 9180, true),
            ("0.0.0.0:9180", "[::1]", 9180, true),
            ("10.0.0.1:9180", "10.0.0.1", 9180, true),
            ("10.0.0.1:9180", "localhost", 9180, false),
            ("10.0.0.1:9180", "a.test", 9180, false),
        ] {
            assert_eq!(is_listener(listener.parse().unwrap(), host, port), expected, "{listener} {host}:{port}");
        }
    }
}
