//! A header, read in steps: how many bytes more are surely its own.
use std::net::SocketAddr;

use super::{version1, version2};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Claim {
    /// The connection is the peer's own, such as a balancer's check, or the balancer does not know whose it is.
    Own,
    /// It is passed on for somebody.
    For {
        /// The client.
        client: SocketAddr,
        /// What the client connected to.
        server: SocketAddr,
    },
}

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// At least so many more bytes belong to the header.
    More(usize),
    /// All of it is there.
    Whole(Claim),
}

/// The bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Bytes of the shortest header, `PROXY UNKNOWN` and a line end.
const SHORTEST: usize = 15;

/// Judges the bytes so far.
pub(super) fn progress(bytes: &[u8]) -> Result<Progress, Malformed> {
    if version2::may_be(bytes) {
        match bytes.len() {
            0..SHORTEST => Ok(Progress::More(SHORTEST - bytes.len())),
            _ => version2::progress(bytes),
        }
    } else if version1::may_be(bytes) {
        match bytes.len() {
            0..SHORTEST => Ok(Progress::More(SHORTEST - bytes.len())),
            _ => version1::progress(bytes),
        }
    } else {
        Err(Malformed)
    }
}

/// Whether the bytes are the beginning of a header; `None` while that is open.
pub(super) fn begins(bytes: &[u8]) -> Option<bool> {
    if !version1::may_be(bytes) && !version2::may_be(bytes) {
        return Some(false);
    }
    (version1::is(bytes) || version2::is(bytes)).then_some(true)
}
