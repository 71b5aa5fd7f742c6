//! Version 1: a line of text, `PROXY TCP4 203.0.113.7 192.0.2.1 56324 443`.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

use super::header::{Claim, Malformed, Progress};

const BEGIN: &[u8] = b"PROXY ";
/// Longest line, its end included.
const LONGEST: usize = 107;
/// The line end.
const END: &[u8] = b"\r\n";

/// Whether the bytes may be the beginning of a line.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    bytes.iter().zip(BEGIN).all(|(byte, wanted)| byte == wanted)
}

/// Whether the bytes are the beginning of a line.
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGIN)
}

/// Judges the bytes so far, which begin as a line does.
pub(super) fn progress(bytes: &[u8]) -> Result<Progress, Malformed> {
    if let Some(line) = bytes.strip_suffix(END) {
        return parse(line).map(Progress::Whole);
    }
    // A line end in the middle means that the line was shorter than its kind can be.
    if bytes.len() >= LONGEST || bytes.windows(END.len()).any(|pair| pair == END) {
        return Err(Malformed);
    }
    let missing = missing(bytes);
    if bytes.len() + missing > LONGEST { Err(Malformed) } else { Ok(Progress::More(missing)) }
}

/// The bytes that are missing at least.
fn missing(bytes: &[u8]) -> usize {
    let end = if bytes.ends_with(b"\r") { 1 } else { 2 };
    let mut fields = bytes.split(|byte| *byte == b' ').skip(1);
    let shortest: [usize; 4] = match fields.next() {
        Some(b"TCP4") => [7, 7, 1, 1],
        Some(b"TCP6") => [2, 2, 1, 1],
        _ => return end,
    };
    // What comes after the last blank may go on; the fields behind it have a blank before each.
    let mut missing = end;
    let mut had: Vec<usize> = fields.map(<[u8]>::len).collect();
    let last = had.pop().unwrap_or(0);
    for (at, least) in shortest.iter().enumerate().skip(had.len()) {
        missing += if at == had.len() { least.saturating_sub(last) } else { least + 1 };
    }
    missing
}

/// A line without its end.
fn parse(line: &[u8]) -> Result<Claim, Malformed> {
    let line = str::from_utf8(line).map_err(|_| Malformed)?;
    let mut fields = line.split(' ').skip(1);
    let mut next = || fields.next().ok_or(Malformed);
    let (client, server) = match next()? {
        "TCP4" => (ip::<Ipv4Addr>(next()?)?, ip::<Ipv4Addr>(next()?)?),
        "TCP6" => (ip::<Ipv6Addr>(next()?)?, ip::<Ipv6Addr>(next()?)?),
        // Whatever else stands there is of no meaning.
        "UNKNOWN" => return Ok(Claim::Own),
        _ => return Err(Malformed),
    };
    let (client_port, server_port) = (port(next()?)?, port(next()?)?);
    if fields.next().is_some() {
        return Err(Malformed);
    }
    Ok(Claim::For { client: SocketAddr::new(client, client_port), server: SocketAddr::new(server, server_port) })
}

fn ip<A: str::FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, Malformed> {
    text.parse::<A>().map(Into::into).map_err(|_| Malformed)
}

/// A decimal number without a sign or zeros before it.
fn port(text: &str) -> Result<u16, Malformed> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| Malformed) } else { Err(Malformed) }
}
