//! What a host is (RFC 9112 §3.2; security.md H1-11).
use std::net::Ipv6Addr;

/// Whether a `Host` value, or the authority of a URI, names a host as this gateway takes it: a DNS name (letters,
/// digits, `-`, `.`, `_`, `~`), an IPv4 address or an IPv6 address in brackets, then perhaps `:` and a port of 1 to 5
/// digits up to 65,535.
///
/// Narrower than RFC 3986 §3.2.2: percent-escapes and punctuation stand in no DNS name, and hops read them differently.
#[cfg_attr(not(feature = "client"), expect(unreachable_pub, reason = "made public by the codec"))]
pub fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let Some((address, rest)) = rest.split_at_checked(end) else { return false };
            if !std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()) {
                return false;
            }
            match rest {
                [_] => return true,
                [_, b':', port @ ..] => (address, port),
                _ => return false,
            }
        }
        None => match value.iter().position(|byte| *byte == b':').and_then(|colon| value.split_at_checked(colon)) {
            None => return is_name(value),
            Some((name, port)) if is_name(name) => (name, port.strip_prefix(b":").unwrap_or_default()),
            Some(_) => return false,
        },
    };
    let digits = (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    !host.is_empty() && digits && port.iter().fold(0u32, |sum, byte| sum * 10 + u32::from(byte - b'0')) <= 65_535
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_h1_11_hosts() {
        for good in ["a", "gw.test", "gw.test.", "a_b:80", "127.0.0.1:9080", "[::1]", "[::1]:443", "x:65535", "x:0"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "u@h",
            "h#x",
            "h?x",
            "h\\x",
            "<x>",
            "h:",
            "h:x",
            "h:65536",
            "h:000080",
            "h:+80",
            "a,b",
            "h:80:80",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[gw]",
            "[]",
            "h%41",
            "ä",
            "h\0",
            "[::1%25eth0]",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
