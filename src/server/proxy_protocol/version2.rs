//! Version 2: in binary form, with fields of any kind behind the addresses.
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::checksum::crc32c;
use super::header::{Claim, Malformed, Progress};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family, and the length of the rest.
const FIXED: usize = 16;
/// Longest rest that is read; balancers send some hundred bytes.
const LONGEST: usize = 4096;
/// The checksum of the whole header, among the fields behind the addresses.
const CRC32C: u8 = 0x03;

/// Whether the bytes may be the beginning of a header.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    bytes.iter().zip(SIGNATURE).all(|(byte, wanted)| byte == wanted)
}

/// Whether the bytes are the beginning of a header.
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE)
}

/// Judges the bytes so far, which begin with the signature.
pub(super) fn progress(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Progress::More(FIXED - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST || rest.len() > length {
        return Err(Malformed);
    }
    if rest.len() < length {
        return Ok(Progress::More(length - rest.len()));
    }
    parse(command, family, rest, bytes).map(Progress::Whole)
}

fn parse(command: u8, family: u8, rest: &[u8], whole: &[u8]) -> Result<Claim, Malformed> {
    let (addresses, fields) = match (command, family) {
        // The balancer's own connection, whatever stands behind: only the checksum is to be right, where it can be told.
        (0x20, _) => (None, rest.get(size(family).unwrap_or(rest.len())..).unwrap_or_default()),
        // It does not say whose it is: a family that is not told, or a Unix socket of another machine.
        (0x21, 0x00) => (None, rest),
        (0x21, 0x31) => (None, rest.get(216..).ok_or(Malformed)?),
        (0x21, 0x11) => {
            let (head, fields) = rest.split_first_chunk::<12>().ok_or(Malformed)?;
            (Some(v4(head)), fields)
        }
        (0x21, 0x21) => {
            let (head, fields) = rest.split_first_chunk::<36>().ok_or(Malformed)?;
            (Some(v6(head)), fields)
        }
        // Another version or command, or datagrams, which do not come by a stream.
        _ => return Err(Malformed),
    };
    check(fields, whole)?;
    Ok(addresses.map_or(Claim::Own, |(client, server)| Claim::For { client, server }))
}

/// Bytes of the addresses of a family.
fn size(family: u8) -> Option<usize> {
    match family {
        0x00 => Some(0),
        0x11 | 0x12 => Some(12),
        0x21 | 0x22 => Some(36),
        0x31 | 0x32 => Some(216),
        _ => None,
    }
}

fn v4(head: &[u8; 12]) -> (SocketAddr, SocketAddr) {
    let [a, b, c, d, e, f, g, h, p, q, r, s] = *head;
    let address = |ip: [u8; 4], port| SocketAddr::from((Ipv4Addr::from(ip), u16::from_be_bytes(port)));
    (address([a, b, c, d], [p, q]), address([e, f, g, h], [r, s]))
}

fn v6(head: &[u8; 36]) -> (SocketAddr, SocketAddr) {
    let mut ips =
        head.chunks_exact(16).map(|ip| ip.try_into().map_or(Ipv6Addr::UNSPECIFIED, <Ipv6Addr as From<[u8; 16]>>::from));
    let mut next = || ips.next().unwrap_or(Ipv6Addr::UNSPECIFIED);
    let (client, server) = (next(), next());
    let [.., p, q, r, s] = *head;
    (SocketAddr::from((client, u16::from_be_bytes([p, q]))), SocketAddr::from((server, u16::from_be_bytes([r, s]))))
}

/// Walks over the fields, which must fill the rest, and judges the checksum if there is one.
fn check(fields: &[u8], whole: &[u8]) -> Result<(), Malformed> {
    let mut fields = fields;
    while let Some((&[kind, high, low], rest)) = fields.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, after) = rest.split_at_checked(length).ok_or(Malformed)?;
        if kind == CRC32C {
            let told = value.try_into().map(u32::from_be_bytes).map_err(|_| Malformed)?;
            // It was taken with zeros in its own place.
            let at = whole.len() - after.len() - value.len();
            let zeroed =
                whole.iter().enumerate().map(|(index, byte)| if (at..at + 4).contains(&index) { 0 } else { *byte });
            if crc32c(zeroed) != told {
                return Err(Malformed);
            }
        }
        fields = after;
    }
    if fields.is_empty() { Ok(()) } else { Err(Malformed) }
}
