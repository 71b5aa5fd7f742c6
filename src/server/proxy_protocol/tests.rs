//! Headers as they come: any bytes, in any pieces.
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::header::{Claim, Malformed, Progress, begins, progress};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header, of version 2.
const LONGEST: usize = 16 + 4096;

/// What reading a connection comes to that brings these bytes.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Claim(Claim),
    Malformed,
    /// The bytes ended first.
    Torn,
}

/// Reads as a connection is read: so many bytes as are surely the header's own. Tells how many were taken, too.
fn take(stream: &[u8]) -> (Outcome, usize) {
    let mut taken = 0;
    loop {
        match progress(&stream[..taken]) {
            Err(Malformed) => return (Outcome::Malformed, taken),
            Ok(Progress::Whole(claim)) => return (Outcome::Claim(claim), taken),
            Ok(Progress::More(count)) => {
                assert!(count > 0, "a step that takes nothing would be the last");
                assert!(taken + count <= LONGEST, "{taken} and {count}");
                if stream.len() < taken + count {
                    return (Outcome::Torn, taken);
                }
                taken += count;
            }
        }
    }
}

/// Where a header of these bytes ends, by what the protocol says of its length alone.
fn end(stream: &[u8]) -> Option<usize> {
    if stream.starts_with(SIGNATURE) {
        let length = stream.get(14..16)?;
        return Some(16 + usize::from(u16::from_be_bytes([length[0], length[1]])));
    }
    stream.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2)
}

fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let ips = prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(client, server)| (IpAddr::from(client), IpAddr::from(server))),
        any::<([u16; 8], [u16; 8])>().prop_map(|(client, server)| (IpAddr::from(client), IpAddr::from(server))),
    ];
    (ips, any::<(u16, u16)>())
        .prop_map(|((client, server), ports)| (SocketAddr::new(client, ports.0), SocketAddr::new(server, ports.1)))
}

fn version1((client, server): (SocketAddr, SocketAddr)) -> Vec<u8> {
    let kind = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {kind} {} {} {} {}\r\n", client.ip(), server.ip(), client.port(), server.port()).into_bytes()
}

fn version2((client, server): (SocketAddr, SocketAddr), fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mut rest = [octets(client.ip()), octets(server.ip())].concat();
    rest.extend(client.port().to_be_bytes());
    rest.extend(server.port().to_be_bytes());
    for (kind, value) in fields {
        rest.push(*kind);
        rest.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        rest.extend(value);
    }
    let family = if client.is_ipv4() { 0x11 } else { 0x21 };
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x21, family], &length, &rest].concat()
}

/// Fields of any kind but the checksum, which would have to be right.
fn fields() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let field = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..80));
    prop::collection::vec(field.prop_filter("a checksum", |(kind, _)| *kind != 3), 0..8)
}

fn headers() -> impl Strategy<Value = ((SocketAddr, SocketAddr), Vec<u8>)> {
    prop_oneof![
        addresses().prop_map(|pair| (pair, version1(pair))),
        (addresses(), fields()).prop_map(|(pair, fields)| (pair, version2(pair, &fields))),
    ]
}

/// Bytes of which many begin as headers do, or nearly are one.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let begin = prop_oneof![
        Just(&b""[..]),
        Just(&b"PROXY "[..]),
        Just(&b"PROXY TCP4 "[..]),
        Just(&b"PROXY TCP6 ::1 "[..]),
        Just(&b"PROXY UNKNOWN"[..]),
        Just(SIGNATURE),
        Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x20"[..]),
        Just(&b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\x05"[..]),
    ];
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b" \r\n.:019af\0\x03"[..])];
    let garbage = (begin, prop::collection::vec(byte, 0..200)).prop_map(|(begin, more)| [begin, &more].concat());
    // A header with another byte somewhere.
    let nearly = (headers(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|((_, mut header), at, byte)| {
        let at = at.index(header.len());
        header[at] = byte;
        [header, vec![b'x'; LONGEST]].concat()
    });
    prop_oneof![2 => garbage, 1 => nearly]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Nothing panics, no step takes nothing or more than there may be, and nothing behind a header is taken.
    #[test]
    fn any_bytes_are_a_header_or_not_and_none_behind_it_are_taken(stream in anything()) {
        let (outcome, taken) = take(&stream);
        if matches!(outcome, Outcome::Claim(_)) {
            prop_assert_eq!(Some(taken), end(&stream));
        }
        // From anywhere, as well: steps of other sizes come to the same.
        for at in 0..stream.len().min(300) {
            let begin = &stream[..at];
            if begins(begin) == Some(false) {
                prop_assert_eq!(progress(begin), Err(Malformed));
            }
            if let (Ok(Progress::Whole(_)), Outcome::Claim(_)) = (progress(begin), &outcome) {
                prop_assert_eq!(at, taken);
            }
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_follows_is_left(
        (pair, header) in headers(), behind in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let stream = [&header[..], &behind].concat();
        let wanted = Claim::For { client: pair.0, server: pair.1 };
        prop_assert_eq!(take(&stream), (Outcome::Claim(wanted), header.len()));
        prop_assert_eq!(begins(&stream), Some(true));
        // Torn anywhere, it is waited for, and never taken for another one.
        for at in 0..header.len() {
            prop_assert_eq!(take(&header[..at]).0, Outcome::Torn);
        }
    }
}
