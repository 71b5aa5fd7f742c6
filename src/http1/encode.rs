//! Heads and framing onto the wire. Only this file writes `Content-Length`, `Transfer-Encoding` and `Connection`.
use std::io::Write as _;

use http::header::{HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use super::Framing;
use super::date::write_date;
use crate::hop::{is_hop, may_trail};

/// The end of a chunked body that has no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What a response says of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It stays open, which needs no word in HTTP/1.1.
    Stay,
    /// It stays open, said aloud to an HTTP/1.0 client.
    KeepAlive,
    /// It ends with this response.
    Close,
    /// It becomes a tunnel in the protocol named (a `101`).
    Upgrade(HeaderValue),
}

/// How [`write_response`] frames a response.
#[derive(Clone, Debug)]
pub struct ResponseOptions {
    /// What follows the head.
    pub framing: Framing,
    /// With [`Framing::None`]: whether a `Content-Length` among the fields is written, as is right for the answer to a
    /// `HEAD` and for a `304` (RFC 9110 §8.6).
    pub send_length: bool,
    /// What `Connection` says.
    pub connection: Connection,
}

/// Writes a request head.
///
/// `extra` writes fields of the gateway itself with [`write_field`]. Of `headers`, all are written but those that frame or
/// that belong to a hop.
pub fn write_request(
    out: &mut Vec<u8>,
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    extra: impl FnOnce(&mut Vec<u8>),
    framing: Framing,
) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_map(out, headers, false, false);
    extra(out);
    write_framing(out, framing);
    out.extend_from_slice(b"\r\n");
}

/// Writes a response head, with a `Date` if it has none (RFC 9110 §6.6.1).
pub fn write_response(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap, options: &ResponseOptions) {
    write_status(out, status);
    let send_length = options.send_length && options.framing == Framing::None;
    let announces = options.framing == Framing::Chunked;
    let has_date = write_map(out, headers, send_length, announces);
    if !has_date && !status.is_informational() {
        write_date(out);
    }
    write_framing(out, options.framing);
    match &options.connection {
        Connection::Stay => {}
        Connection::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Connection::Close => out.extend_from_slice(b"connection: close\r\n"),
        Connection::Upgrade(protocol) => {
            out.extend_from_slice(b"connection: upgrade\r\n");
            write_field(out, "upgrade", protocol.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn write_status(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes the fields that may go on, with `announces` also which trailers are to come (RFC 9110 §6.6.2); tells whether
/// `Date` was among them.
fn write_map(out: &mut Vec<u8>, headers: &HeaderMap, send_length: bool, announces: bool) -> bool {
    let mut has_date = false;
    for (name, value) in headers {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        match name.len() {
            4 => has_date |= name == b"date",
            14 if !send_length && name == b"content-length" => continue,
            7 if announces && name == b"trailer" => {}
            _ if is_hop(name) => continue,
            _ => {}
        }
        write_line(out, name, value);
    }
    has_date
}

fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes one field. A value with CR, LF or NUL, which would be read as something else, is not written (HOP-09).
pub fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    // Mostly a handful of bytes: a plain loop is done before a vectorised one has begun.
    if !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0')) {
        write_line(out, name.as_bytes(), value);
    }
}

fn write_framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::Length(bytes) => {
            out.extend_from_slice(b"content-length: ");
            write_number(out, bytes);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None | Framing::Close => {}
    }
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [b'0'; 20];
    let mut used = 0;
    for place in text.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(text.len() - used..).unwrap_or_default());
}

/// Writes the size line of a chunk of `bytes` bytes, at least one. The data and a CRLF follow.
pub fn write_chunk_head(out: &mut Vec<u8>, bytes: usize) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{bytes:x}\r\n");
}

/// Writes the last chunk with trailers. Fields that may not stand in a trailer section are left out (H1-17).
pub fn write_trailers(out: &mut Vec<u8>, trailers: &HeaderMap) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name.as_str())) {
        write_line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_codec_frames() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "h"),
            ("content-length", "9"),
            ("transfer-encoding", "gzip"),
            ("connection", "x"),
            ("upgrade", "y"),
            ("te", "trailers"),
            ("x-a", "1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut out = Vec::new();
        let extra = |out: &mut Vec<u8>| {
            write_field(out, "x-forwarded-for", b"10.0.0.1");
            write_field(out, "x-bad", b"a\r\nb: c");
        };
        write_request(&mut out, &Method::POST, "/a?b", &headers, extra, Framing::Length(1_234_567_890));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /a?b HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-forwarded-for: 10.0.0.1\r\ncontent-length: 1234567890\r\n\r\n"
        );
    }

    #[test]
    fn responses_say_what_becomes_of_the_connection() {
        let mut response = http::Response::new(());
        response.headers_mut().insert("content-length", HeaderValue::from(7));
        response.headers_mut().insert("date", HeaderValue::from_static("d"));
        let (parts, ()) = response.into_parts();
        let write = |framing, send_length, connection| {
            let mut out = Vec::new();
            write_response(
                &mut out,
                parts.status,
                &parts.headers,
                &ResponseOptions { framing, send_length, connection },
            );
            String::from_utf8(out).unwrap()
        };
        let start = "HTTP/1.1 200 OK\r\n";
        assert_eq!(
            write(Framing::None, true, Connection::Stay),
            format!("{start}content-length: 7\r\ndate: d\r\n\r\n")
        );
        assert_eq!(
            write(Framing::Length(0), true, Connection::Close),
            format!("{start}date: d\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        );
        assert_eq!(
            write(Framing::Chunked, false, Connection::KeepAlive),
            format!("{start}date: d\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n")
        );
        assert_eq!(
            write(Framing::None, false, Connection::Upgrade(HeaderValue::from_static("websocket"))),
            format!("{start}date: d\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        );
    }

    #[test]
    fn numbers_chunks_and_trailers() {
        for number in [0, 9, 10, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
        let mut out = Vec::new();
        write_chunk_head(&mut out, 0xabc);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        trailers.insert("content-length", HeaderValue::from_static("1"));
        write_trailers(&mut out, &trailers);
        assert_eq!(out, b"abc\r\n0\r\nx-sum: 1\r\n\r\n");
    }
}
