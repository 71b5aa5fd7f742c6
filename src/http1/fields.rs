//! From field lines to a [`HeaderMap`], framing and hop-by-hop fields taken out on the way.
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::names::usual;
use crate::hop::{is_hop, remove_named, tokens};

/// Fields that a map has room for at least: a short head is then not moved when layers add some. A map of one more takes an
/// allocation of more than 1 KiB, which allocators are slower at.
const ROOM: usize = 6;

/// What the fields that are not handed on, or that decide on framing, said.
#[derive(Default)]
pub(super) struct Seen {
    /// `Host` fields.
    pub(super) hosts: u32,
    /// Whether the last of them is one.
    pub(super) host_valid: bool,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) te_trailers: bool,
    /// `Expect: 100-continue`, once.
    pub(super) expect_continue: bool,
    /// Any other `Expect`.
    pub(super) expect_other: bool,
    upgrade_named: bool,
    upgrade: Option<HeaderValue>,
}

impl Seen {
    /// The value of `Upgrade`, if there is one such field and `Connection` names it (RFC 9110 §7.8).
    pub(super) fn take_upgrade(&mut self) -> Option<HeaderValue> {
        self.upgrade.take().filter(|value| self.upgrade_named && !value.is_empty())
    }

    /// Whether the connection stays open, as far as the fields tell (RFC 9112 §9.3).
    pub(super) fn stays(&self, is_http_11: bool) -> bool {
        !self.close && (is_http_11 || self.keep_alive)
    }
}

/// Which fields are taken out beside the hop-by-hop ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// Builds the map of one head. `input` is the head that `fields` point into.
///
/// # Errors
/// What is wrong, for the text of a fault.
pub(super) fn collect(
    input: &Bytes,
    fields: &[httparse::Header<'_>],
    side: Side,
) -> Result<(HeaderMap, Seen), &'static str> {
    let mut map = HeaderMap::try_with_capacity(fields.len().max(ROOM)).map_err(|_| "too many fields")?;
    let mut seen = Seen::default();
    let mut named = false;
    let (mut codings, mut upgrades) = (0u32, 0u32);
    for field in fields {
        let (name, value) = (field.name.as_bytes(), field.value);
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                seen.hosts += 1;
                seen.host_valid = super::is_host(value);
            }
            6 if side == Side::Request && name.eq_ignore_ascii_case(b"expect") => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                seen.expect_other |= !known || seen.expect_continue;
                seen.expect_continue = true;
                continue;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for token in tokens(value) {
                    if token.eq_ignore_ascii_case(b"close") {
                        seen.close = true;
                    } else if token.eq_ignore_ascii_case(b"keep-alive") {
                        seen.keep_alive = true;
                    } else if token.eq_ignore_ascii_case(b"upgrade") {
                        seen.upgrade_named = true;
                    } else {
                        named = true;
                    }
                }
                continue;
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if seen.length.is_some() {
                    return Err("several lengths");
                }
                seen.length = Some(parse_length(value).ok_or("length is no number")?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                codings += 1;
                seen.chunked = value.eq_ignore_ascii_case(b"chunked");
                continue;
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                upgrades += 1;
                seen.upgrade = HeaderValue::from_maybe_shared(input.slice_ref(value)).ok();
                continue;
            }
            2 if name.eq_ignore_ascii_case(b"te") => {
                seen.te_trailers |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"trailers"));
                continue;
            }
            _ if is_hop(name) => continue,
            _ => {}
        }
        append(&mut map, input, field)?;
    }
    if codings > 0 && (codings > 1 || !seen.chunked || seen.length.is_some()) {
        return Err("transfer coding other than one chunked, or beside a length");
    }
    if upgrades > 1 {
        seen.upgrade = None;
    }
    if named {
        for field in fields.iter().filter(|field| field.name.eq_ignore_ascii_case("connection")) {
            remove_named(&mut map, field.value);
        }
    }
    Ok((map, seen))
}

/// Appends one field: a well-known name becomes its constant, the value is a slice of the head.
pub(super) fn append(map: &mut HeaderMap, input: &Bytes, field: &httparse::Header<'_>) -> Result<(), &'static str> {
    let name = field.name.as_bytes();
    let name = match usual(name) {
        Some(name) => name,
        None => HeaderName::from_bytes(name).map_err(|_| "field name")?,
    };
    let value = HeaderValue::from_maybe_shared(input.slice_ref(field.value)).map_err(|_| "field value")?;
    map.try_append(name, value).map_err(|_| "too many fields")?;
    Ok(())
}

/// `Content-Length`: 1 to 19 digits and nothing else (H1-04).
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}
