//! What the gateway knows of one request when it is sent on: the target, the forwarding fields, what the route allows.
use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;

use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue, TE, VIA};

use super::config::Timeouts;
use crate::Exchange;

/// How one request is sent on. Everything is borrowed; the default sends the request as it is and adds no field.
///
/// Build it with `..ForwardContext::default()`: it grows.
#[derive(Default)]
pub struct ForwardContext<'a> {
    /// Path and query to send; must be valid in a request line. `None`: those of the request's URI.
    pub target: Option<&'a str>,
    /// The `Host` to send, whatever the upstream's `pass_host` says.
    pub host: Option<&'a HeaderValue>,
    /// The client's address, for balancers.
    pub client: Option<IpAddr>,
    /// Forwarding fields to write (model.md §8.2). The request's own fields of these names must have come off.
    pub forwarded: Option<Forwarded<'a>>,
    /// A `Via` value to add, such as `1.1 gateway` (RFC 9110 §7.6.3).
    pub via: Option<&'a str>,
    /// The protocol to ask the endpoint for, when the client asked and the route allows it (security.md UPG-01). Such
    /// a request has no body.
    pub upgrade: Option<&'a HeaderValue>,
    /// Ask for trailers: the client said `TE: trailers`.
    pub trailers: bool,
    /// Replaces the upstream's time-outs.
    pub timeouts: Option<&'a Timeouts>,
    /// Told of each attempt.
    pub exchange: Option<&'a Exchange>,
    /// Called with each interim response other than `100` (security.md UP-08). `None` drops them.
    pub interim: Option<&'a (dyn Fn(Response<()>) + Send + Sync)>,
}

impl ForwardContext<'_> {
    /// The fields of the gateway's own, straight into a request head.
    #[cfg(feature = "client")]
    pub(crate) fn write_fields(&self, out: &mut Vec<u8>) {
        use crate::http1::write_field;
        if let Some(forwarded) = &self.forwarded {
            forwarded.write_fields(out);
        }
        if let Some(via) = self.via {
            write_field(out, "via", via.as_bytes());
        }
        match self.upgrade {
            Some(protocol) => {
                out.extend_from_slice(b"connection: upgrade\r\n");
                write_field(out, "upgrade", protocol.as_bytes());
            }
            // `TE` is a field of this hop, so `Connection` names it (RFC 9110 §10.1.4).
            None if self.trailers => out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n"),
            None => {}
        }
    }

    /// The same fields into a map, for endpoints that are not spoken to in HTTP/1.
    pub(crate) fn insert_fields(&self, headers: &mut HeaderMap) {
        if let Some(forwarded) = &self.forwarded {
            forwarded.insert_fields(headers);
        }
        if let Some(via) = self.via.and_then(|via| HeaderValue::from_str(via).ok()) {
            headers.append(VIA, via);
        }
        if self.trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
}

impl fmt::Debug for ForwardContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardContext")
            .field("target", &self.target)
            .field("forwarded", &self.forwarded)
            .field("upgrade", &self.upgrade)
            .finish_non_exhaustive()
    }
}

/// The values of `X-Real-IP` and `X-Forwarded-*`.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// `X-Real-IP`: the client, as far as it can be trusted (security.md HOP-03).
    pub client: IpAddr,
    /// Appended to `X-Forwarded-For`: the other end of the connection.
    pub peer: IpAddr,
    /// The list before it, from a trusted peer.
    pub prior: Option<&'a HeaderValue>,
    /// `X-Forwarded-Proto`.
    pub proto: &'a [u8],
    /// `X-Forwarded-Host`; empty = not sent.
    pub host: &'a [u8],
    /// `X-Forwarded-Port`; empty = not sent.
    pub port: &'a [u8],
}

impl Forwarded<'_> {
    /// Straight into a request head; values with line ends are left out by the codec.
    #[cfg(feature = "client")]
    fn write_fields(&self, out: &mut Vec<u8>) {
        use crate::http1::write_field;
        out.extend_from_slice(b"x-real-ip: ");
        let from = out.len();
        write_address(out, self.client);
        let client = from..out.len();
        out.extend_from_slice(b"\r\nx-forwarded-for: ");
        if let Some(prior) = self.prior {
            // A field value cannot hold a line end.
            out.extend_from_slice(prior.as_bytes());
            out.extend_from_slice(b", ");
        }
        if self.peer == self.client {
            out.extend_from_within(client);
        } else {
            write_address(out, self.peer);
        }
        out.extend_from_slice(b"\r\n");
        for (name, value) in self.named() {
            if !value.is_empty() {
                write_field(out, name, value);
            }
        }
    }

    fn insert_fields(&self, headers: &mut HeaderMap) {
        let mut insert = |name: &'static str, value: &[u8]| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        let mut text = Vec::new();
        write_address(&mut text, self.client);
        insert("x-real-ip", &text);
        text.clear();
        if let Some(prior) = self.prior {
            text.extend_from_slice(prior.as_bytes());
            text.extend_from_slice(b", ");
        }
        write_address(&mut text, self.peer);
        insert("x-forwarded-for", &text);
        for (name, value) in self.named() {
            if !value.is_empty() {
                insert(name, value);
            }
        }
    }

    fn named(&self) -> [(&'static str, &[u8]); 3] {
        [("x-forwarded-proto", self.proto), ("x-forwarded-host", self.host), ("x-forwarded-port", self.port)]
    }
}

/// By hand for IPv4: twice on every request, the formatting machinery would be the dearest part of the head.
fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(v4) = address else {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{address}");
        return;
    };
    out.reserve(15);
    for (place, octet) in v4.octets().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_library_does() {
        let v4 = (0..=255).map(|octet| IpAddr::from([octet, 255 - octet, 0, octet]));
        for address in v4.chain(["::1".parse().unwrap(), "2001:db8::10.0.0.1".parse().unwrap()]) {
            let mut out = Vec::new();
            write_address(&mut out, address);
            assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn fields_are_the_same_in_a_head_and_in_a_map() {
        let prior = HeaderValue::from_static("203.0.113.7");
        let cx = ForwardContext {
            forwarded: Some(Forwarded {
                client: IpAddr::from([203, 0, 113, 7]),
                peer: IpAddr::from([10, 0, 0, 255]),
                prior: Some(&prior),
                proto: b"https",
                host: b"a.test",
                port: b"",
            }),
            via: Some("1.1 tollgate"),
            ..ForwardContext::default()
        };
        let mut out = Vec::new();
        cx.write_fields(&mut out);
        let text = "x-real-ip: 203.0.113.7\r\nx-forwarded-for: 203.0.113.7, 10.0.0.255\r\nx-forwarded-proto: \
                    https\r\nx-forwarded-host: a.test\r\nvia: 1.1 tollgate\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
        let mut headers = HeaderMap::new();
        cx.insert_fields(&mut headers);
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap())).collect();
        assert_eq!(lines, text);
    }
}
