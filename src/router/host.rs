//! Hosts: what a request names, and what a rule asks for (router.md §5).
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The host of a request in the one form that is compared: lower case, without port and without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName<'a> {
    /// Name, and `:port` if there was one.
    authority: Cow<'a, str>,
    /// Length of the name within it.
    name: usize,
}

/// Why an authority is not the name of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostFault {
    /// A byte that no host has: hosts are ASCII, internationalised names travel as A-labels (`xn--…`).
    #[error("the host has a character that no host has")]
    BadByte,
    /// A port that is no number up to 65535.
    #[error("the port of the host is no number up to 65535")]
    BadPort,
    /// A bracket that is not closed or holds no IPv6 address.
    #[error("the brackets of the host hold no ipv6 address")]
    BadBrackets,
}

/// What a byte may be part of.
const NAME: u8 = 1;
const UPPER: u8 = 2;

/// Unreserved characters and sub-delimiters (RFC 3986 §3.2.2), percent escapes aside.
#[expect(clippy::indexing_slicing, reason = "the index runs over the length of the table, when it is compiled")]
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let ascii = byte as u8;
        table[byte] = if ascii.is_ascii_uppercase() {
            NAME | UPPER
        } else if ascii.is_ascii_lowercase() || ascii.is_ascii_digit() || matches!(ascii, b'-' | b'.' | b'_' | b'~') {
            NAME
        } else {
            0
        };
        byte += 1;
    }
    table
};

impl<'a> HostName<'a> {
    /// Parses the authority of a request: `Host`, `:authority`, or the one of an absolute target.
    ///
    /// An empty authority is a host of no name, which only rules without hosts match.
    ///
    /// # Errors
    /// [`HostFault`] for what is no `host[:port]` (security.md H1-11, PATH-10): the request is to be refused with 400.
    pub fn parse(authority: &'a str) -> Result<Self, HostFault> {
        if authority.starts_with('[') {
            return Self::parse_bracketed(authority);
        }
        let bytes = authority.as_bytes();
        let mut seen = 0;
        let mut end = bytes.len();
        for (at, byte) in bytes.iter().enumerate() {
            let class = class_of(*byte);
            if class == 0 {
                if *byte == b':' {
                    end = at;
                    break;
                }
                return Err(HostFault::BadByte);
            }
            seen |= class;
        }
        let (name, port) = authority.split_at_checked(end).unwrap_or((authority, ""));
        Self::assemble(authority, name.strip_suffix('.').unwrap_or(name), name.len(), port, seen & UPPER != 0)
    }

    fn parse_bracketed(authority: &'a str) -> Result<Self, HostFault> {
        let close = authority.find(']').ok_or(HostFault::BadBrackets)? + 1;
        let (name, port) = authority.split_at_checked(close).ok_or(HostFault::BadBrackets)?;
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or_default();
        address.parse::<std::net::Ipv6Addr>().map_err(|_| HostFault::BadBrackets)?;
        Self::assemble(authority, name, name.len(), port, name.bytes().any(|byte| byte.is_ascii_uppercase()))
    }

    /// `port` still has its colon. A name that lost its dot no longer stands beside its port.
    fn assemble(whole: &'a str, name: &'a str, had: usize, port: &'a str, upper: bool) -> Result<Self, HostFault> {
        let number = port.strip_prefix(':').unwrap_or(port);
        if !port.is_empty() && (number.len() == port.len() || !is_port(number)) {
            return Err(HostFault::BadPort);
        }
        let mut authority = if number.is_empty() {
            Cow::Borrowed(name)
        } else if name.len() == had {
            Cow::Borrowed(whole)
        } else {
            Cow::Owned(format!("{name}{port}"))
        };
        if upper {
            authority.to_mut().make_ascii_lowercase();
        }
        Ok(Self { authority, name: name.len() })
    }

    /// The name alone: lower case, no port, no trailing dot; an IPv6 address in its brackets.
    #[inline]
    pub fn name(&self) -> &str {
        self.authority.get(..self.name).unwrap_or_default()
    }

    /// The port as sent, if there was one.
    #[inline]
    pub fn port(&self) -> Option<&str> {
        self.authority.get(self.name..).and_then(|port| port.strip_prefix(':'))
    }

    /// The name with `:port`, if a port was sent.
    #[inline]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> HostName<'static> {
        HostName { authority: Cow::Owned(self.authority.into_owned()), name: self.name }
    }
}

impl fmt::Display for HostName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

#[inline]
fn class_of(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// An empty port is legal and means none (RFC 3986 §3.2.3).
fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

/// A host that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern {
    /// As written.
    pub(super) source: Arc<str>,
    /// What is compared: lower case, without the `*`.
    pub(super) text: Box<str>,
    /// Whether any text may stand before.
    pub(super) is_wildcard: bool,
    /// Whether it names a port and is compared with `host:port`.
    pub(super) has_port: bool,
}

/// Why the host of a rule was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPatternFault {
    /// Empty, or with a character that no host has, or with a `*` that is not the first character.
    #[error("a host is letters, digits, - . _ and :port, or an ipv6 address in brackets; * only in front")]
    Malformed,
}

impl HostPattern {
    pub(super) fn parse(source: &str) -> Result<Self, HostPatternFault> {
        let lower = source.to_ascii_lowercase();
        let (is_wildcard, text) = match lower.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, lower.as_str()),
        };
        let is_legal = |byte: u8| class_of(byte) != 0 || matches!(byte, b'[' | b']' | b':');
        if !text.bytes().all(is_legal) || (text.is_empty() && !is_wildcard) {
            return Err(HostPatternFault::Malformed);
        }
        let behind_brackets = text.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match text.rfind(':').filter(|at| *at >= behind_brackets) {
            Some(at) => text.split_at_checked(at).unwrap_or((text, "")),
            None => (text, ""),
        };
        let number = port.strip_prefix(':').unwrap_or_default();
        if !is_port(number) || (host.contains(':') && behind_brackets == 0) {
            return Err(HostPatternFault::Malformed);
        }
        let host = host.strip_suffix('.').filter(|host| !host.is_empty()).unwrap_or(host);
        let has_port = !number.is_empty();
        let text = if has_port { format!("{host}{port}") } else { host.to_owned() };
        Ok(Self { source: source.into(), text: text.into(), is_wildcard, has_port })
    }

    /// Whether a request for `host` is one that the rule asks for.
    pub(super) fn matches(&self, host: Option<&HostName<'_>>) -> bool {
        let Some(host) = host.filter(|host| !host.name().is_empty()) else { return false };
        let text = if self.has_port { host.authority() } else { host.name() };
        if self.is_wildcard { text.ends_with(&*self.text) } else { text == &*self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_path_10_one_form_of_a_host() {
        for (authority, name, port) in [
            ("gw.test", "gw.test", None),
            ("GW.Test.", "gw.test", None),
            ("gw.test:80", "gw.test", Some("80")),
            ("GW.test.:80", "gw.test", Some("80")),
            ("gw.test:", "gw.test", None),
            ("[::1]", "[::1]", None),
            ("[FE80::1]:8443", "[fe80::1]", Some("8443")),
            ("127.0.0.1:9080", "127.0.0.1", Some("9080")),
            ("", "", None),
            (".", "", None),
        ] {
            let host = HostName::parse(authority).unwrap();
            assert_eq!((host.name(), host.port()), (name, port), "{authority}");
            assert_eq!(host.clone().into_owned(), host);
        }
        for authority in ["bücher.test", "a b", "a/b", "u@h", "h#x", "h?x", "h\\x", "<x>", "a%41", "a,b", "a*", "a]"] {
            assert_eq!(HostName::parse(authority), Err(HostFault::BadByte), "{authority}");
        }
        for authority in ["h:x", "h:-1", "h:65536", "h:1:2", "[::1]x", "[::1]:x", "h:+1"] {
            assert_eq!(HostName::parse(authority), Err(HostFault::BadPort), "{authority}");
        }
        for authority in ["[", "[]", "[::1", "[x]", "[1.2.3.4]"] {
            assert_eq!(HostName::parse(authority), Err(HostFault::BadBrackets), "{authority}");
        }
    }

    #[test]
    fn patterns_match_by_equality_and_by_suffix() {
        for (pattern, authority, expected) in [
            ("*.x.io", "a.b.x.io", true),
            ("*.x.io", "x.io", false),
            ("*.x.io", ".x.io", true),
            ("*x.io", "x.io", true),
            ("*x.io", "barx.io", true),
            ("*", "a", true),
            ("*", "", false),
            ("X.io.", "x.IO", true),
            ("x.io:8443", "x.io:8443", true),
            ("x.io:8443", "X.io:8443", true),
            ("x.io:8443", "x.io", false),
            ("x.io:8443", "x.io:80", false),
            ("x.io", "x.io:80", true),
            ("*:8443", "a.b:8443", true),
            ("[::1]", "[::1]:80", true),
            ("[::1]:80", "[::1]:80", true),
            ("[::1]:80", "[::1]", false),
        ] {
            let host = HostName::parse(authority).unwrap();
            assert_eq!(HostPattern::parse(pattern).unwrap().matches(Some(&host)), expected, "{pattern} {authority}");
        }
        assert!(!HostPattern::parse("*").unwrap().matches(None));
        for pattern in ["", "a*", "**", "a b", "é", "a:x", "::1", "a:99999"] {
            assert_eq!(HostPattern::parse(pattern), Err(HostPatternFault::Malformed), "{pattern}");
        }
    }
}
